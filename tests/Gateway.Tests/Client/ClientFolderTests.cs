using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Carillon.Client;
using Carillon.Client.Folders;
using Carillon.Protocols.Submissions;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Client;

/// <summary>Folders there and back: modes, times, links, empty directories, and names that try to get out.</summary>
public sealed class ClientFolderTests : IDisposable
{
    private readonly string _source = Directory.CreateTempSubdirectory("carillon-folder-").FullName;
    private readonly string _copy = Directory.CreateTempSubdirectory("carillon-folder-").FullName;
    private readonly ConcurrentDictionary<string, Stored> _objects = new(StringComparer.Ordinal);

    public void Dispose()
    {
        Directory.Delete(_source, recursive: true);
        Directory.Delete(_copy, recursive: true);
    }

    [Fact]
    public async Task Folder_comes_back_as_it_was()
    {
        Write("a.txt", "one");
        Write("sub/deep/b.bin", new string('x', 500_000));
        Write("script.sh", "#!/bin/sh\n");
        File.SetUnixFileMode(Path.Combine(_source, "script.sh"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        File.SetLastWriteTimeUtc(Path.Combine(_source, "a.txt"), new DateTime(2001, 2, 3, 4, 5, 6, 789, DateTimeKind.Utc));
        Directory.CreateDirectory(Path.Combine(_source, "empty"));
        File.CreateSymbolicLink(Path.Combine(_source, "link"), "sub/deep/b.bin");
        File.CreateSymbolicLink(Path.Combine(_source, "dangling"), "/nowhere/at all");
        Directory.CreateSymbolicLink(Path.Combine(_source, "sub", "up"), "..");
        await using FakeServer server = await FakeServer.StartAsync(AnswerAsync);
        using CarillonClient client = FakeServer.ClientOf(server.Address);

        FolderResult put = await client.PutFolderAsync(_source, new ObjectName("files", "www"));
        FolderResult got = await client.GetFolderAsync(new ObjectName("files", "www"), _copy);

        Assert.Empty(put.Failed);
        Assert.Empty(got.Failed);
        Assert.Equal((3, 3, 1), (put.Files, put.Links, put.Directories));
        Assert.Equal((3, 3, 1), (got.Files, got.Links, got.Directories));
        Assert.Equal("", await DifferenceAsync());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.Combine(_copy, "script.sh")));
        Assert.Equal(File.GetLastWriteTimeUtc(Path.Combine(_source, "a.txt")), File.GetLastWriteTimeUtc(Path.Combine(_copy, "a.txt")));
        Assert.True(Directory.Exists(Path.Combine(_copy, "empty")));
    }

    [Fact]
    public async Task Links_are_skipped_and_told_where_asked_for()
    {
        Write("a.txt", "one");
        File.CreateSymbolicLink(Path.Combine(_source, "link"), "a.txt");
        await using FakeServer server = await FakeServer.StartAsync(AnswerAsync);
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        FolderResult put = await client.PutFolderAsync(_source, new ObjectName("files", ""), new FolderOptions { Links = LinkMode.Skip });
        Assert.Equal("link", Assert.Single(put.Skipped).Path);
        Assert.Equal(["a.txt"], _objects.Keys);
    }

    [Fact]
    public async Task Links_that_are_followed_bring_content_and_end_at_loops()
    {
        Write("sub/a.txt", "one");
        File.CreateSymbolicLink(Path.Combine(_source, "link"), "sub/a.txt");
        File.CreateSymbolicLink(Path.Combine(_source, "broken"), "nowhere");
        Directory.CreateSymbolicLink(Path.Combine(_source, "sub", "loop"), _source);
        await using FakeServer server = await FakeServer.StartAsync(AnswerAsync);
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        FolderResult put = await client.PutFolderAsync(_source, new ObjectName("files", ""), new FolderOptions { Links = LinkMode.Follow });
        Assert.Equal(["link", "sub/a.txt"], _objects.Keys.Order(StringComparer.Ordinal));
        Assert.Equal("broken", Assert.Single(put.Failed).Path);
        Assert.Equal("sub/loop", Assert.Single(put.Skipped).Path);
    }

    [Fact]
    public async Task Pipes_are_skipped_and_not_waited_for()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "mkfifo");
        Write("a.txt", "one");
        using (Process mkfifo = Process.Start("mkfifo", Path.Combine(_source, "pipe")))
        {
            await mkfifo.WaitForExitAsync();
        }

        await using FakeServer server = await FakeServer.StartAsync(AnswerAsync);
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        FolderResult put = await client.PutFolderAsync(_source, new ObjectName("files", ""));
        Assert.Equal("pipe", Assert.Single(put.Skipped).Path);
        Assert.Equal(1, put.Files);
    }

    [Fact]
    public async Task Files_that_can_not_be_put_are_told_and_the_others_are_put()
    {
        Write("a.txt", "one");
        Write("bad\u0001name", "two");
        await using FakeServer server = await FakeServer.StartAsync(AnswerAsync);
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        FolderResult put = await client.PutFolderAsync(_source, new ObjectName("files", ""));
        Assert.Equal(1, put.Files);
        FolderNote failed = Assert.Single(put.Failed);
        Assert.Equal(Failure.Usage, failed.Failure);
    }

    [Theory]
    [InlineData("../out.txt")]
    [InlineData("/out.txt")]
    [InlineData("a/../../out.txt")]
    [InlineData("a//out.txt")]
    public async Task Names_from_a_server_never_lead_out_of_the_folder(string name)
    {
        _objects[name] = new Stored("evil"u8.ToArray(), []);
        _objects["good.txt"] = new Stored("good"u8.ToArray(), []);
        await using FakeServer server = await FakeServer.StartAsync(AnswerAsync);
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        string inner = Path.Combine(_copy, "inner");
        FolderResult got = await client.GetFolderAsync(new ObjectName("files", ""), inner);
        Assert.Single(got.Failed);
        Assert.Equal(1, got.Files);
        Assert.Equal([inner], Directory.GetFileSystemEntries(_copy));
        Assert.Equal([Path.Combine(inner, "good.txt")], Directory.GetFileSystemEntries(inner, "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Links_are_never_followed_when_a_folder_is_written()
    {
        string outside = Directory.CreateDirectory(Path.Combine(_source, "outside")).FullName;
        Directory.CreateSymbolicLink(Path.Combine(_copy, "there"), outside);
        _objects["there/x.txt"] = new Stored("x"u8.ToArray(), []);
        // A link that comes with the folder, and a file below the link's own name.
        _objects["new"] = new Stored([], new() { [FileMetadata.LinkKey] = outside });
        _objects["new/y.txt"] = new Stored("y"u8.ToArray(), []);
        await using FakeServer server = await FakeServer.StartAsync(AnswerAsync);
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        FolderResult got = await client.GetFolderAsync(new ObjectName("files", ""), _copy);
        Assert.Empty(Directory.GetFileSystemEntries(outside));
        Assert.Equal(["new", "there/x.txt"], got.Failed.Select(f => f.Path).Order(StringComparer.Ordinal));
        Assert.True(File.Exists(Path.Combine(_copy, "new", "y.txt")));
    }

    [Fact]
    public async Task Several_files_are_under_way_at_once_and_no_more_than_told()
    {
        for (int i = 0; i < 64; i++)
        {
            Write($"f{i}", "x");
        }

        int now = 0;
        int most = 0;
        var four = new TaskCompletionSource();
        await using FakeServer server = await FakeServer.StartAsync(async context =>
        {
            int count = Interlocked.Increment(ref now);
            lock (four)
            {
                most = Math.Max(most, count);
            }

            if (count == 4)
            {
                four.TrySetResult();
            }

            await four.Task;
            Interlocked.Decrement(ref now);
            await FakeServer.AcceptAsync(context);
        });
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        FolderResult put = await client.PutFolderAsync(_source, new ObjectName("files", ""), new FolderOptions { Parallel = 4 });
        Assert.Equal(64, put.Files);
        Assert.Equal(4, most);
    }

    private void Write(string name, string content)
    {
        string path = Path.Combine(_source, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
    }

    private async Task<string> DifferenceAsync()
    {
        var start = new ProcessStartInfo("diff", ["-r", "--no-dereference", _source, _copy])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        using Process diff = Process.Start(start)!;
        string output = await diff.StandardOutput.ReadToEndAsync() + await diff.StandardError.ReadToEndAsync();
        await diff.WaitForExitAsync();
        return output;
    }

    // Puts, gets of versions and listings, enough for folders.
    private async Task AnswerAsync(HttpContext context)
    {
        const string Objects = "/v1/buckets/files/objects";
        string path = context.Request.Path;
        if (path == Objects)
        {
            await ListAsync(context);
            return;
        }

        string name = path[(Objects.Length + 1)..];
        if (HttpMethods.IsPut(context.Request.Method))
        {
            var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            Dictionary<string, string> metadata = context.Request.Headers
                .Where(h => h.Key.StartsWith("Carillon-Meta-", StringComparison.OrdinalIgnoreCase))
                .ToDictionary(h => h.Key["Carillon-Meta-".Length..].ToLowerInvariant(), h => Uri.UnescapeDataString(h.Value.ToString()));
            _objects[name] = new Stored(body.ToArray(), metadata);
            await FakeServer.WriteJsonAsync(context, 200, string.Create(
                CultureInfo.InvariantCulture,
                $$"""
                {"uid":"1-0@s1","size":{{body.Length}},"submission":"x",
                 "sha256":"{{Convert.ToHexStringLower(SHA256.HashData(body.ToArray()))}}"}
                """));
            return;
        }

        Assert.Equal("?version=1-0%40s1&consistency=local", context.Request.QueryString.Value);
        await FakeServer.Serve(_objects[name].Content, "1-0@s1")(context);
    }

    // Two names a page, so that paging is part of it.
    private async Task ListAsync(HttpContext context)
    {
        string prefix = context.Request.Query["prefix"].ToString();
        string after = context.Request.Query["after"].ToString();
        KeyValuePair<string, Stored>[] found =
        [
            .. _objects.Where(o => o.Key.StartsWith(prefix, StringComparison.Ordinal) && string.CompareOrdinal(o.Key, after) > 0)
                .OrderBy(o => o.Key, StringComparer.Ordinal),
        ];
        var objects = found.Take(2).Select(o => new
        {
            name = o.Key, uid = "1-0@s1", size = o.Value.Content.Length, sha256 = "", kind = "put", metadata = o.Value.Metadata,
        });
        string json = JsonSerializer.Serialize(
            new { objects, prefixes = Array.Empty<string>(), next = found.Length > 2 ? found[1].Key : null });
        await FakeServer.WriteJsonAsync(context, 200, Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(json)));
    }

    private sealed record Stored(byte[] Content, Dictionary<string, string> Metadata);
}
