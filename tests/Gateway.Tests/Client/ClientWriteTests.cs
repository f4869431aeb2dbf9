using System.Text;
using Carillon.Client;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Gateway.Tests.Client;

/// <summary>Writes against servers that fail in every way: what the library says in the end, and what it sent.</summary>
public sealed class ClientWriteTests
{
    private static readonly ObjectName Name = new("files", "dir/a b.txt");
    private static readonly PutSource Hello = PutSource.FromBytes("hello"u8.ToArray());

    [Fact]
    public async Task Put_is_accepted_with_key_path_and_metadata()
    {
        string? meta = null;
        await using FakeServer server = await FakeServer.StartAsync(context =>
        {
            meta = context.Request.Headers["Carillon-Meta-color"];
            return FakeServer.AcceptAsync(context);
        });
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(
            Name, Hello, new PutOptions { Key = "k1", Metadata = [new("color", "grün")] });
        Assert.Equal(Verdict.Accepted, result.Verdict);
        Assert.Equal("1-0@s1", result.Answer!.Uid);
        Assert.Equal(5, result.Answer.Size);
        Assert.Equal(("PUT", "/v1/buckets/files/objects/dir/a%20b.txt", "k1"), Assert.Single(server.Requests));
        Assert.Equal("gr%C3%BCn", meta);
    }

    [Fact]
    public async Task Put_goes_on_at_the_next_server_under_the_same_key()
    {
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.LoseAsync);
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.AcceptAsync);
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Accepted, result.Verdict);
        Assert.Equal(result.Key, Assert.Single(first.Requests).Key);
        Assert.Equal(result.Key, Assert.Single(second.Requests).Key);
        // The one that answered is asked first from now on.
        await client.PutAsync(Name, Hello);
        Assert.Single(first.Requests);
    }

    [Fact]
    public async Task Put_that_was_lost_and_then_rejected_is_unknown()
    {
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.LoseAsync);
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.Problem(503, "no-quorum"));
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Unknown, result.Verdict);
        Assert.Equal(Failure.OutcomeUnknown, result.Failure);
    }

    [Fact]
    public async Task Put_that_was_lost_and_then_fenced_is_rejected()
    {
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.LoseAsync);
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.Problem(409, "key-rejected"));
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Rejected, result.Verdict);
        Assert.Equal(Failure.NoQuorum, result.Failure);
    }

    [Fact]
    public async Task Put_rejected_by_all_servers_is_rejected_once_each_has_been_asked()
    {
        Uri dead = FakeServer.DeadAddress();
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.Problem(503, "no-quorum"));
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.Problem(503, "push-timeout"));
        using CarillonClient client = FakeServer.ClientOf(dead, first.Address, second.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Rejected, result.Verdict);
        Assert.Equal(Failure.NoQuorum, result.Failure);
        Assert.Equal("r-1", result.Problem!.RequestId);
        Assert.Single(first.Requests);
        Assert.Single(second.Requests);
    }

    [Fact]
    public async Task Put_that_reaches_nobody_is_rejected_as_unreachable()
    {
        using CarillonClient client = FakeServer.ClientOf(FakeServer.DeadAddress());
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Rejected, result.Verdict);
        Assert.Equal(Failure.Unreachable, result.Failure);
    }

    [Fact]
    public async Task Put_refused_for_its_own_sake_is_not_tried_elsewhere()
    {
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.Problem(404, "bucket-not-found"));
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.AcceptAsync);
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Failure.NotFound, result.Failure);
        Assert.Empty(second.Requests);
    }

    [Fact]
    public async Task Put_that_gets_no_answer_in_time_is_unknown()
    {
        await using FakeServer server = await FakeServer.StartAsync(FakeServer.StallAsync);
        using var client = new CarillonClient(
            new CarillonClientOptions { Servers = [server.Address], Timeout = TimeSpan.FromMilliseconds(300) });
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Unknown, result.Verdict);
        Assert.Equal("timeout", result.Problem!.Code);
    }

    [Fact]
    public async Task Unknown_outcome_tells_the_submission()
    {
        await using FakeServer server = await FakeServer.StartAsync(context => FakeServer.WriteJsonAsync(
            context, 504, """{"status":504,"code":"outcome-unknown","detail":"?","submission":"1-0@s1.00000000000000aa"}""",
                "application/problem+json"));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Unknown, result.Verdict);
        Assert.Equal("1-0@s1.00000000000000aa", result.Submission);
    }

    [Fact]
    public async Task Stream_that_was_sent_is_not_sent_again()
    {
        await using FakeServer first = await FakeServer.StartAsync(FakeServer.LoseAsync);
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.AcceptAsync);
        using CarillonClient client = FakeServer.ClientOf(first.Address, second.Address);
        using var stream = new MemoryStream(new byte[1 << 20]);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, PutSource.FromStream(stream));
        Assert.Equal(Verdict.Unknown, result.Verdict);
        Assert.Empty(second.Requests);
    }

    [Fact]
    public async Task Stream_that_nobody_took_yet_goes_to_the_next_server()
    {
        Uri dead = FakeServer.DeadAddress();
        await using FakeServer refusing = await FakeServer.StartAsync(context => FakeServer.WriteJsonAsync(
            context, 503, """{"status":503,"code":"no-quorum","detail":"?"}""", "application/problem+json"));
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.AcceptAsync);
        using CarillonClient client = FakeServer.ClientOf(dead, refusing.Address, second.Address);
        using var stream = new MemoryStream(new byte[1 << 20]);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, PutSource.FromStream(stream));
        Assert.Equal(Verdict.Accepted, result.Verdict);
        Assert.Equal(1 << 20, result.Answer!.Size);
    }

    [Fact]
    public async Task File_is_sent_whole_and_compared()
    {
        string path = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(path, new byte[3_000_001]);
            await using FakeServer server = await FakeServer.StartAsync(FakeServer.AcceptAsync);
            using CarillonClient client = FakeServer.ClientOf(server.Address);
            WriteResult<PutAnswer> result = await client.PutAsync(Name, PutSource.FromFile(path));
            Assert.Equal(3_000_001, result.Answer!.Size);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Other_bytes_stored_than_sent_is_an_integrity_fault(bool streamed)
    {
        await using FakeServer server = await FakeServer.StartAsync(async context =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
            await FakeServer.WriteJsonAsync(
                context, 200, $$"""{"uid":"1-0@s1","size":5,"sha256":"{{new string('0', 64)}}","submission":"x"}""");
        });
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        using var stream = new MemoryStream(new byte[5]);
        PutSource source = streamed ? PutSource.FromStream(stream) : Hello;
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => client.PutAsync(Name, source));
        Assert.Equal(Failure.Integrity, fault.Failure);
    }

    [Fact]
    public async Task Delete_says_whether_it_existed()
    {
        await using FakeServer server = await FakeServer.StartAsync(context =>
            FakeServer.WriteJsonAsync(context, 200, """{"uid":"2-0@s1","sequence":null,"submission":"x","existed":false}"""));
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        WriteResult<DeleteAnswer> result = await client.DeleteAsync(Name);
        Assert.False(result.Answer!.Existed);
        Assert.Equal("DELETE", Assert.Single(server.Requests).Method);
    }

    [Fact]
    public async Task Delete_is_never_repeated_behind_the_librarys_back()
    {
        // A kept connection that breaks without a word is what HTTP handlers like to repeat a request over.
        int count = 0;
        await using FakeServer server = await FakeServer.StartAsync(async context =>
        {
            if (Interlocked.Increment(ref count) == 1)
            {
                await FakeServer.WriteJsonAsync(context, 200, """{"uid":"2-0@s1","submission":"x","existed":true}""");
                return;
            }

            context.Abort();
        });
        using CarillonClient client = FakeServer.ClientOf(server.Address);
        await client.DeleteAsync(Name);
        WriteResult<DeleteAnswer> result = await client.DeleteAsync(Name);
        Assert.Equal(Verdict.Unknown, result.Verdict);
        Assert.Equal(2, count);
    }

    [Fact]
    public async Task Changeset_is_sent_as_multipart_with_its_files()
    {
        string path = Path.GetTempFileName();
        var parts = new Dictionary<string, string>();
        try
        {
            await File.WriteAllTextAsync(path, "content");
            await using FakeServer server = await FakeServer.StartAsync(async context =>
            {
                foreach (var file in (await context.Request.ReadFormAsync()).Files)
                {
                    using var reader = new StreamReader(file.OpenReadStream());
                    parts[file.Name] = await reader.ReadToEndAsync();
                }

                parts["changeset"] = context.Request.Form["changeset"]!;
                await FakeServer.WriteJsonAsync(
                    context, 200, """{"submission":"x","uid":"3-0@s1","operations":[{"bucket":"files","name":"a","uid":"3-0@s1"}]}""");
            });
            using CarillonClient client = FakeServer.ClientOf(server.Address);
            var changeset = new Changeset(
                Encoding.UTF8.GetBytes("""{"operations":[{"put":"files/a","file":"file-1"}]}"""), [new("file-1", path)]);
            WriteResult<ChangesetAnswer> result = await client.ChangesetAsync(changeset);
            Assert.Equal("3-0@s1", result.Answer!.Uid);
            Assert.Equal("content", parts["file-1"]);
            Assert.Contains("\"operations\"", parts["changeset"], StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("fi", "a")]
    [InlineData("files", "../a")]
    [InlineData("files", "a//b")]
    [InlineData("files", "")]
    public async Task Bad_names_are_refused_before_anything_is_sent(string bucket, string name)
    {
        using CarillonClient client = FakeServer.ClientOf(FakeServer.DeadAddress());
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => client.PutAsync(new ObjectName(bucket, name), Hello));
        Assert.Equal(Failure.Usage, fault.Failure);
    }
}
