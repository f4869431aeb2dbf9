using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Changesets;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Tests.Serving;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Xunit;

namespace Carillon.Gateway.Tests.Changesets;

/// <summary>POST of changesets.</summary>
public sealed class ChangesetTests : IAsyncLifetime
{
    private const string OneFile = "--B\r\n\r\n{\"operations\":[{\"put\":\"files/a\",\"file\":\"f\"}]}\r\n";

    private const string PartHead = "--B\r\nContent-Disposition: form-data; name=f\r\n";

    private GatewayHouse _house = null!;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task Form_becomes_one_submission_with_all_its_contents()
    {
        byte[] large = Content(2_200_000);
        using MultipartFormDataContent form = Form(
            """
            {"operations":[
              {"put":"files/large","file":"file-1","metadata":{"Mode":"0644"},"contentType":"application/x-large"},
              {"put":"files/text","text":"Glöckchen","ifMatch":null,"ifNoneMatch":false},
              {"put":"files/bytes","base64":"AAEC"},
              {"put":"files/small","file":"file-2"},
              {"put":"files/huge","file":"file-3"},
              {"delete":"files/old/name"}]}
            """,
            ("file-2", "small"u8.ToArray()), ("file-1", large), ("file-3", Content(70_000)));
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Post, "/v1/changesets", form, ("Idempotency-Key", "k"));

        JsonElement answer = await response.JsonAsync();
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        SubmitRequest submit = Assert.Single(_house.Server.Submissions);
        Assert.Equal("k", submit.Key);
        Assert.False(submit.Upload.IsNone);
        Assert.Empty(_house.Server.Abandoned);
        Assert.Equal(["large", "text", "bytes", "small", "huge", "old/name"], submit.Operations.Select(operation => operation.Target.Name));
        Assert.Equal(Digest.Of(large), submit.Operations[0].Manifest!.Sha256);
        Assert.Equal("application/x-large", submit.Operations[0].Manifest!.ContentType);
        Assert.Equal([new("mode", "0644")], submit.Operations[0].Manifest!.Metadata);
        Assert.Equal("Glöckchen", Encoding.UTF8.GetString(submit.Operations[1].Manifest!.Inline.Span));
        Assert.Equal([0, 1, 2], submit.Operations[2].Manifest!.Inline.ToArray());
        Assert.Equal("small", Encoding.UTF8.GetString(submit.Operations[3].Manifest!.Inline.Span));
        Assert.Equal("text/x-part", submit.Operations[3].Manifest!.ContentType);
        Assert.Equal(70_000, submit.Operations[4].Manifest!.Size);
        Assert.Null(submit.Operations[5].Manifest);
        Tag tag = _house.Server.Versions[new ObjectName("files", "text")][0].Tag;
        Assert.Equal(tag.ToString(), answer.GetProperty("submission").GetString());
        JsonElement[] operations = [.. answer.GetProperty("operations").EnumerateArray()];
        Assert.Equal(6, operations.Length);
        Assert.All(operations, one => Assert.Equal(tag.Uid.ToString(), one.GetProperty("uid").GetString()));
        Assert.Equal("files", operations[5].GetProperty("bucket").GetString());
        Assert.Equal("old/name", operations[5].GetProperty("name").GetString());
    }

    [Fact]
    public async Task Json_alone_will_do_without_files()
    {
        using HttpResponseMessage response = await PostJsonAsync("""{"operations":[{"put":"files/a","text":""},{"delete":"files/b"}]}""");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(2, Assert.Single(_house.Server.Submissions).Operations.Length);
        Assert.NotEqual("", response.Header("Carillon-Key"));
    }

    [Theory]
    [InlineData("", "JSON")]
    [InlineData("{", "JSON")]
    [InlineData("[]", "object")]
    [InlineData("{}", "no operations")]
    [InlineData("""{"operations":[]}""", "no operations")]
    [InlineData("""{"operations":{}}""", "array")]
    [InlineData("""{"operations":[1]}""", "operation 1")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x"}],"operations":[]}""", "twice")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x"}],"more":1}""", "more")]
    [InlineData("""{"operations":[{}]}""", "neither")]
    [InlineData("""{"operations":[{"put":"files/a","delete":"files/b","text":""}]}""", "both")]
    [InlineData("""{"operations":[{"put":"files/a"}]}""", "has 0 of")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","base64":"AAAA"}]}""", "has 2 of")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","text":"y"}]}""", "twice")]
    [InlineData("""{"operations":[{"delete":"files/a","text":"x"}]}""", "deletes")]
    [InlineData("""{"operations":[{"delete":"files/a","metadata":{"a":"b"}}]}""", "deletes")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","mode":"0644"}]}""", "mode")]
    [InlineData("""{"operations":[{"put":null,"text":"x"}]}""", "put")]
    [InlineData("""{"operations":[{"put":"files","text":"x"}]}""", "not empty")]
    [InlineData("""{"operations":[{"put":"files/../x","text":"x"}]}""", "'..'")]
    [InlineData("""{"operations":[{"put":".system/x","text":"x"}]}""", "dot")]
    [InlineData("""{"operations":[{"delete":"files//x"}]}""", "empty segment")]
    [InlineData("""{"operations":[{"put":"files/a\nb","text":"x"}]}""", "control")]
    [InlineData("""{"operations":[{"put":"files/a","base64":"A"}]}""", "base64")]
    [InlineData("""{"operations":[{"put":"files/a","text":5}]}""", "text")]
    [InlineData("""{"operations":[{"put":"files/a","text":"\ud800"}]}""", "Unicode")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x"},{"delete":"files/a"}]}""", "twice")]
    [InlineData("""{"operations":[{"put":"files/a","file":"f"},{"put":"files/b","file":"f"}]}""", "a part of its own")]
    [InlineData("""{"operations":[{"put":"files/a","file":"f"}]}""", "not a part")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","ifNoneMatch":"*"}]}""", "ifNoneMatch")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","metadata":[]}]}""", "metadata")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","metadata":{"a":{"b":1}}}]}""", "string")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x"}]} x""", "JSON")]
    public async Task Bad_json_is_refused_with_what_is_wrong(string json, string named)
    {
        using HttpResponseMessage response = await PostJsonAsync(json);

        JsonElement problem = await response.ProblemAsync(400, "bad-changeset");
        Assert.Contains(named, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","ifMatch":"yesterday"}]}""")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","ifMatch":"1-0@s1","ifNoneMatch":true}]}""")]
    public async Task Condition_that_is_none_is_refused(string json)
    {
        using HttpResponseMessage response = await PostJsonAsync(json);
        await response.ProblemAsync(400, "bad-changeset");
    }

    [Fact]
    public async Task Condition_in_a_header_is_refused()
    {
        using HttpResponseMessage response = await _house.SendAsync(
            HttpMethod.Post, "/v1/changesets", new StringContent("{}"), ("If-None-Match", "*"));
        await response.ProblemAsync(400, "bad-request");
    }

    [Fact]
    public async Task Conditions_of_each_name_are_submitted_and_one_that_fails_names_its_winner()
    {
        Uid current = _house.Server.Add(new ObjectName("files", "a"), new byte[] { 1 });
        using HttpResponseMessage good = await PostJsonAsync(
            $$"""{"operations":[{"put":"files/a","text":"x","ifMatch":"{{current}}"},{"put":"files/b","text":"x","ifNoneMatch":true},{"delete":"files/c"}]}""");
        using HttpResponseMessage bad = await PostJsonAsync(
            """{"operations":[{"put":"files/d","text":"x"},{"put":"files/b","text":"x","ifNoneMatch":true}]}""");

        Assert.Equal(HttpStatusCode.OK, good.StatusCode);
        Assert.Equal("1", good.Header("Carillon-Sequence"));
        SubmitRequest submitted = _house.Server.Submissions.First();
        Assert.Equal(
            [Precondition.Match(current), Precondition.Absent, default], submitted.Operations.Select(operation => operation.Precondition));
        JsonElement problem = await bad.ProblemAsync(412, "precondition-failed");
        Assert.Contains("files/b", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        string uid = (await good.JsonAsync()).GetProperty("uid").GetString()!;
        Assert.Equal(uid, problem.GetProperty("winner").GetString());
        Assert.Equal(2, problem.GetProperty("sequence").GetInt32());
    }

    [Fact]
    public async Task Changeset_of_1000_operations_is_taken_and_of_1001_is_413()
    {
        using HttpResponseMessage taken = await PostJsonAsync(Many(1000, "x"));
        using HttpResponseMessage refused = await PostJsonAsync(Many(1001, "x"));

        Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
        Assert.Equal(1000, (await taken.JsonAsync()).GetProperty("operations").GetArrayLength());
        await refused.ProblemAsync(413, "too-large");
        Assert.Single(_house.Server.Submissions);
    }

    [Fact]
    public async Task Changeset_of_16_mib_inline_is_taken_and_more_is_413()
    {
        string text = new('x', 65_536);
        using HttpResponseMessage taken = await PostJsonAsync(Many(256, text));
        using HttpResponseMessage refused = await PostJsonAsync(Many(257, text));

        Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
        await refused.ProblemAsync(413, "too-large");
        Assert.Single(_house.Server.Submissions);
        // Given up behind the answer, which may be here before that.
        await Eventually.Async(() => !_house.Server.Abandoned.IsEmpty);
        Assert.Single(_house.Server.Abandoned);
    }

    [Fact]
    public async Task Changeset_whose_record_would_be_too_large_is_413()
    {
        (string name, string text, string value) = (new('n', 900), new('x', 16_000), new('m', 8000));
        string operations = string.Join(',', Enumerable.Range(0, 1000).Select(i =>
            $$$"""{"put":"files/{{{i}}}-{{{name}}}","text":"{{{text}}}","metadata":{"k":"{{{value}}}"}}"""));
        using HttpResponseMessage response = await PostJsonAsync($$"""{"operations":[{{operations}}]}""");

        await response.ProblemAsync(413, "too-large");
        Assert.Empty(_house.Server.Submissions);
    }

    [Fact]
    public async Task Json_beyond_its_limit_is_413()
    {
        using HttpResponseMessage response = await PostJsonAsync(new string(' ', ChangesetRoute.MaxJsonBytes + 1));

        await response.ProblemAsync(413, "too-large");
    }

    [Fact]
    public async Task Metadata_beyond_8_kib_is_413()
    {
        using HttpResponseMessage response = await PostJsonAsync(
            $$$"""{"operations":[{"put":"files/a","text":"x","metadata":{"k":"{{{new string('m', 8192)}}}"}}]}""");

        JsonElement problem = await response.ProblemAsync(413, "too-large");
        Assert.Contains("files/a", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("multipart/form-data")]
    [InlineData("multipart/form-data; boundary=\"\"")]
    [InlineData("multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890")]
    [InlineData("nonsense")]
    public async Task Other_media_types_are_415(string type)
    {
        using HttpResponseMessage response = await _house.SendAsync(
            HttpMethod.Post, "/v1/changesets", new ByteArrayContent([1]), ("Content-Type", type));

        await response.ProblemAsync(415, "unsupported-media");
    }

    [Theory]
    [InlineData("--B--\r\n", "no parts")]
    [InlineData("", "")]
    [InlineData("garbage", "")]
    [InlineData(OneFile + "--B--\r\n", "not a part")]
    [InlineData(OneFile + "--B\r\nContent-Disposition: form-data; name=g\r\n\r\nx\r\n--B--\r\n", "not named by any")]
    [InlineData(OneFile + "--B\r\n\r\nx\r\n--B--\r\n", "no name")]
    [InlineData(OneFile + PartHead + "\r\nx\r\n" + PartHead + "\r\nx\r\n--B--\r\n", "twice")]
    [InlineData(OneFile + PartHead + "\r\nx", "ends early")]
    [InlineData(OneFile + PartHead + "\r\nx\r\n--B", "no name")]
    [InlineData("--B\r\nno colon\r\n\r\n{}\r\n--B--\r\n", "not well formed")]
    public async Task Broken_forms_are_refused(string body, string named)
    {
        using HttpResponseMessage response = await PostFormAsync(Encoding.UTF8.GetBytes(body));

        JsonElement problem = await response.ProblemAsync(400, "bad-changeset");
        Assert.Contains(named, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Empty(_house.Server.Submissions);
    }

    [Fact]
    public async Task Part_in_a_transfer_encoding_is_415()
    {
        using HttpResponseMessage response = await PostFormAsync(
            Encoding.ASCII.GetBytes(OneFile + PartHead + "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--B--\r\n"));

        await response.ProblemAsync(415, "unsupported-media");
    }

    [Fact]
    public async Task Upload_is_given_up_when_a_later_part_is_wrong()
    {
        using MultipartFormDataContent form = Form(
            """{"operations":[{"put":"files/a","file":"f1"},{"put":"files/b","file":"f2"}]}""", ("f1", Content(100_000)), ("f3", [1]));
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Post, "/v1/changesets", form);

        await response.ProblemAsync(400, "bad-changeset");
        // It is given up behind the answer, which may be here before that.
        await Eventually.Async(() => !_house.Server.Abandoned.IsEmpty);
        Assert.False(Assert.Single(_house.Server.Abandoned).IsNone);
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Body_that_is_cut_off_becomes_nothing_and_its_upload_is_given_up(bool reset)
    {
        var body = new StringBuilder(
            "--B\r\n\r\n{\"operations\":[{\"put\":\"files/a\",\"file\":\"f1\"},{\"put\":\"files/b\",\"file\":\"f2\"}]}\r\n");
        body.Append("--B\r\nContent-Disposition: form-data; name=f1\r\n\r\n").Append(new string('x', 100_000)).Append("\r\n");
        body.Append("--B\r\nContent-Disposition: form-data; name=f2\r\n\r\nonly a part");
        await _house.CutAsync(
            "POST /v1/changesets HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
            + $"Content-Length: 1000000\r\n\r\n{body}",
            () => _house.Server.Stores == 2, reset);

        await Eventually.Async(() => !_house.Server.Abandoned.IsEmpty);
        Assert.False(_house.Server.Abandoned.First().IsNone);
        Assert.Empty(_house.Server.Submissions);
    }

    [Fact]
    public async Task Outcomes_are_told_as_those_of_objects()
    {
        _house.Server.OnSubmit = _ => Task.FromResult<SubmitOutcome>(new SubmitOutcome.Rejected(RejectionReason.NoQuorum, "1 of 3."));
        using HttpResponseMessage rejected = await PostJsonAsync("""{"operations":[{"delete":"files/a"}]}""");
        _house.Server.OnSubmit = _ => throw new InvalidOperationException();
        using HttpResponseMessage unknown = await PostJsonAsync("""{"operations":[{"delete":"files/a"}]}""");
        _house.Server.OnStore = _ => new StoreOutcome.Refused(RejectionReason.Full, "Out of space.");
        using HttpResponseMessage full = await PostJsonAsync("""{"operations":[{"put":"files/a","text":"x"}]}""");

        await rejected.ProblemAsync(503, "no-quorum");
        await unknown.ProblemAsync(504, "outcome-unknown");
        Assert.True(_house.Log.Failures.TryDequeue(out _));
        JsonElement problem = await full.ProblemAsync(507, "full");
        Assert.Contains("files/a", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_large_changesets_than_the_limit_wait_for_their_turn()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync(new GatewayOptions { MaxLargeChangesets = 1 });
        string json = Many(20, new string('x', 60_000));
        HttpResponseMessage[] responses = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ =>
            house.SendAsync(HttpMethod.Post, "/v1/changesets", new StringContent(json, Encoding.UTF8, "application/json"))));

        Assert.All(responses, response => Assert.Equal(HttpStatusCode.OK, response.StatusCode));
    }

    [Fact]
    public void Mutated_json_never_throws()
    {
        byte[] good = Encoding.UTF8.GetBytes(
            """
            {"operations":[{"put":"files/a","text":"Glöck\u0063\n","metadata":{"k":"v"},"contentType":"a/b"},
            {"put":"files/b","base64":"AAEC","ifMatch":null},{"delete":"files/c"}]}
            """);
        byte[] pieces = "\"{}[]:,\\u0d null true 1e9 ifMatch\xFF\xC3"u8.ToArray();
        var random = new RandomSource(5);
        int taken = 0;
        for (int i = 0; i < 50_000; i++)
        {
            List<byte> bytes = [.. good];
            for (int count = random.Below(4); count > 0; count--)
            {
                int at = random.Below(bytes.Count);
                switch (random.Below(3))
                {
                    case 0:
                        bytes[at] = random.Chance(0.5) ? pieces[random.Below(pieces.Length)] : (byte)random.Below(256);
                        break;
                    case 1:
                        bytes.RemoveRange(at, Math.Min(random.Below(20), bytes.Count - at));
                        break;
                    default:
                        bytes.InsertRange(at, bytes.GetRange(random.Below(bytes.Count), 1));
                        break;
                }
            }

            IReadOnlyList<PlannedOperation>? plan = ChangesetJson.Read(bytes.ToArray(), out Problem? problem);
            Assert.Equal(plan is null, problem is not null);
            taken += plan is null ? 0 : 1;
            Assert.All(plan ?? [], operation => Assert.Null(ObjectName.FaultOfName(operation.Target.Name)));
        }

        Assert.InRange(taken, 1000, 49_000);
    }

    [Fact]
    public async Task Mutated_forms_never_make_the_server_fail()
    {
        byte[] good = Encoding.UTF8.GetBytes(
            "--B\r\nContent-Type: application/json\r\n\r\n{\"operations\":["
            + "{\"put\":\"files/a\",\"file\":\"f1\"},{\"put\":\"files/b\",\"file\":\"f2\"},{\"delete\":\"files/c\"}]}\r\n"
            + "--B\r\nContent-Disposition: form-data; name=\"f1\"; filename=\"x\"\r\n\r\none\r\n"
            + "--B\r\nContent-Disposition: form-data; name=f2\r\n\r\ntwo\r\n--B--\r\n");
        var random = new RandomSource(9);
        for (int i = 0; i < 400; i++)
        {
            List<byte> bytes = [.. good];
            for (int count = 1 + random.Below(3); count > 0 && bytes.Count > 1; count--)
            {
                int at = random.Below(bytes.Count);
                if (random.Chance(0.5))
                {
                    bytes[at] = (byte)random.Below(256);
                }
                else
                {
                    bytes.RemoveRange(at, Math.Min(random.Below(40), bytes.Count - at));
                }
            }

            using HttpResponseMessage response = await PostFormAsync([.. bytes]);
            Assert.Contains((int)response.StatusCode, (int[])[200, 400, 404, 413, 415, 501]);
            if (response.StatusCode != HttpStatusCode.OK)
            {
                Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
            }
        }
    }

    private static string Many(int count, string text) =>
        $$"""{"operations":[{{string.Join(',', Enumerable.Range(0, count).Select(i => Put(i, text)))}}]}""";

    private static string Put(int number, string text) => $$"""{"put":"files/{{number}}","text":"{{text}}"}""";

    private static MultipartFormDataContent Form(string json, params (string Name, byte[] Content)[] files)
    {
        var form = new MultipartFormDataContent { { new StringContent(json, Encoding.UTF8, "application/json"), "changeset" } };
        foreach ((string name, byte[] content) in files)
        {
            var part = new ByteArrayContent(content);
            part.Headers.ContentType = new MediaTypeHeaderValue("text/x-part");
            form.Add(part, name, "any name");
        }

        return form;
    }

    private Task<HttpResponseMessage> PostJsonAsync(string json) =>
        _house.SendAsync(HttpMethod.Post, "/v1/changesets", new StringContent(json, Encoding.UTF8, "application/json"));

    private Task<HttpResponseMessage> PostFormAsync(byte[] body) =>
        _house.SendAsync(
            HttpMethod.Post, "/v1/changesets", new ByteArrayContent(body), ("Content-Type", "multipart/form-data; boundary=B"));

    private static byte[] Content(int size)
    {
        byte[] content = new byte[size];
        new Random(size).NextBytes(content);
        return content;
    }
}
