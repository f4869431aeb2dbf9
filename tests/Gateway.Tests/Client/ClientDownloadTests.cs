using System.Text.Json;
using Carillon.Client;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Gateway.Tests.Client;

/// <summary>Downloads over connections that break: always one version, byte for byte, or an error.</summary>
public sealed class ClientDownloadTests : IDisposable
{
    private const int Size = 6_000_000;

    private static readonly ObjectName Name = new("files", "big.bin");

    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-download-").FullName;
    private readonly byte[] _content = Content(1);

    private string Target => Path.Combine(_folder, "big.bin");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Whole_file_takes_its_name_and_leaves_nothing_else()
    {
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1"));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        GetResult result = await client.GetToFileAsync(Name, Target);
        Assert.Equal(_content, await File.ReadAllBytesAsync(Target));
        Assert.Equal([Target], Directory.GetFileSystemEntries(_folder));
        Assert.Equal(0, result.Migrations);
        Assert.Equal(Size, result.Bytes);
        Assert.Equal("grün", result.Metadata["color"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Broken_or_stalled_download_goes_on_at_the_next_server_from_the_same_byte(bool stall)
    {
        await using FakeServer first = await FakeServer.StartAsync(
            FakeServer.Serve(_content, "1-0@s1", breakAfter: 2_500_000, stall: stall));
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1"));
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        GetResult result = await client.GetToFileAsync(Name, Target);
        Assert.Equal(_content, await File.ReadAllBytesAsync(Target));
        Assert.Equal(1, result.Migrations);
        Assert.Equal([first.Address, second.Address], result.Servers);
        Assert.Contains("version=1-0%40s1", Assert.Single(second.Requests).Target, StringComparison.Ordinal);
        Assert.True(result.LongestStall >= (stall ? TimeSpan.FromMilliseconds(250) : TimeSpan.Zero));
    }

    [Fact]
    public async Task Many_deaths_and_returns_still_end_in_the_same_bytes()
    {
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1", breakAfter: 700_000));
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1", breakAfter: 900_000));
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        GetResult result = await client.GetToFileAsync(Name, Target);
        Assert.Equal(_content, await File.ReadAllBytesAsync(Target));
        Assert.True(result.Migrations >= 6);
    }

    [Fact]
    public async Task Migration_never_mixes_versions()
    {
        byte[] newer = Content(2);
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1", breakAfter: 2_500_000));
        // The second server has the newer version only, and the first one breaks again and again.
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.Serve(newer, "2-0@s1"));
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        GetResult result = await client.GetToFileAsync(Name, Target);
        Assert.Equal(result.Uid == "1-0@s1" ? _content : newer, await File.ReadAllBytesAsync(Target));
    }

    [Fact]
    public async Task Version_that_is_kept_nowhere_any_more_is_given_up_for_the_current_one()
    {
        byte[] newer = Content(2);
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1", breakAfter: 2_500_000));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        Func<Microsoft.AspNetCore.Http.HttpContext, Task> dying = server.Handler;
        server.Handler = context =>
        {
            server.Handler = FakeServer.Serve(newer, "2-0@s1");
            return dying(context);
        };
        GetResult result = await client.GetToFileAsync(Name, Target);
        Assert.Equal("2-0@s1", result.Uid);
        Assert.Equal(newer, await File.ReadAllBytesAsync(Target));
    }

    [Fact]
    public async Task Partial_file_of_the_same_version_is_gone_on_with()
    {
        await LeavePartAsync(_content, 4_000_000, "1-0@s1");
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1"));
        long? from = null;
        Func<Microsoft.AspNetCore.Http.HttpContext, Task> serve = server.Handler;
        server.Handler = context =>
        {
            from = Microsoft.Net.Http.Headers.RangeHeaderValue.Parse(context.Request.Headers.Range.ToString()).Ranges.First().From;
            Assert.Equal("\"1-0@s1\"", context.Request.Headers.IfMatch);
            return serve(context);
        };
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        GetResult result = await client.GetToFileAsync(Name, Target);
        Assert.Equal(4_000_000, from);
        Assert.Equal(4_000_000, result.Resumed);
        Assert.Equal(_content, await File.ReadAllBytesAsync(Target));
        Assert.Single(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public async Task Partial_file_of_an_older_version_is_thrown_away()
    {
        await LeavePartAsync(Content(7), 4_000_000, "1-0@s1");
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve(_content, "2-0@s1"));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        GetResult result = await client.GetToFileAsync(Name, Target);
        Assert.Equal(0, result.Resumed);
        Assert.Equal(_content, await File.ReadAllBytesAsync(Target));
    }

    [Fact]
    public async Task Damaged_partial_file_is_noticed_and_fetched_again()
    {
        byte[] damaged = [.. _content];
        damaged[1234] ^= 1;
        await LeavePartAsync(damaged, 4_000_000, "1-0@s1");
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1"));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        await client.GetToFileAsync(Name, Target);
        Assert.Equal(_content, await File.ReadAllBytesAsync(Target));
    }

    [Fact]
    public async Task Interrupted_download_leaves_what_a_later_one_goes_on_with()
    {
        await using FakeServer server = await FakeServer.StartAsync(
            FakeServer.Serve(_content, "1-0@s1", breakAfter: 5_000_000, stall: true));
        using (CarillonClient client = FakeServer.ClientOf(server.Address))
        {
            using var stop = new CancellationTokenSource();
            var observer = new StopAfter(4_500_000, stop);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(
                () => client.GetToFileAsync(Name, Target, new GetOptions { Observer = observer }, stop.Token));
        }

        Assert.False(File.Exists(Target));
        server.Handler = FakeServer.Serve(_content, "1-0@s1");
        using CarillonClient again = FakeServer.ClientOf(server.Address);
        GetResult result = await again.GetToFileAsync(Name, Target);
        Assert.True(result.Resumed >= 4_000_000);
        Assert.Equal(_content, await File.ReadAllBytesAsync(Target));
    }

    [Fact]
    public async Task Bytes_with_another_hash_never_take_the_name()
    {
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1", told: new string('0', 64)));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => client.GetToFileAsync(Name, Target));
        Assert.Equal(Failure.Integrity, fault.Failure);
        Assert.False(File.Exists(Target));
    }

    [Fact]
    public async Task Missing_object_is_not_found_and_leaves_nothing()
    {
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Problem(404, "not-found"));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => client.GetToFileAsync(Name, Target));
        Assert.Equal(Failure.NotFound, fault.Failure);
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public async Task Empty_object_becomes_an_empty_file()
    {
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve([], "1-0@s1"));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        await client.GetToFileAsync(Name, Target);
        Assert.Empty(await File.ReadAllBytesAsync(Target));
    }

    [Fact]
    public async Task Read_that_could_not_be_decided_anywhere_says_so()
    {
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.Problem(503, "read-unavailable"));
        using CarillonClient client = FakeServer.ClientOf(first.Address, FakeServer.DeadAddress());
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => client.GetBytesAsync(Name));
        Assert.Equal(Failure.NoQuorum, fault.Failure);
    }

    [Fact]
    public async Task Stat_reads_the_headers()
    {
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.Serve(_content, "1-0@s1"));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        ObjectStat stat = await client.StatAsync(Name);
        Assert.Equal("1-0@s1", stat.Uid);
        Assert.Equal(Size, stat.Size);
        Assert.Null(stat.Sequence);
        Assert.Equal("grün", stat.Metadata["color"]);
    }

    private static byte[] Content(ulong seed)
    {
        byte[] content = new byte[Size];
        var random = new RandomSource(seed);
        for (int i = 0; i < content.Length; i += 8)
        {
            BitConverter.TryWriteBytes(content.AsSpan(i), random.Next());
        }

        return content;
    }

    private async Task LeavePartAsync(byte[] content, int length, string uid)
    {
        await File.WriteAllBytesAsync(Target + FileTarget.PartSuffix, content[..length]);
        string description = JsonSerializer.Serialize(new { bucket = Name.Bucket, name = Name.Name, uid, size = content.Length });
        await File.WriteAllTextAsync(Target + FileTarget.PartSuffix + ".json", description);
    }

    private sealed class StopAfter(long bytes, CancellationTokenSource stop) : ITransferObserver
    {
        private long _seen;

        public void Started(long? total, long present) => _seen = present;

        public void Advanced(long moved)
        {
            _seen += moved;
            if (_seen >= bytes)
            {
                stop.Cancel();
            }
        }
    }
}
