using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Xunit;

namespace Carillon.Gateway.Tests.Groups;

/// <summary>Groups over HTTP: made, looked at, removed.</summary>
public sealed class GroupRouteTests : IAsyncLifetime
{
    private readonly FakeGroups _groups = new("first");
    private GatewayHouse _house = null!;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task Group_is_made_with_its_settings_and_again_with_the_same()
    {
        const string Settings = """{"durability":"memory","retainTime":3600,"retainBytes":1048576,"lifetime":5000}""";
        using HttpResponseMessage made = await PutAsync("prices", Settings);
        Assert.Equal(HttpStatusCode.OK, made.StatusCode);
        JsonElement answer = await made.JsonAsync();
        Assert.Equal("memory", answer.GetProperty("durability").GetString());
        Assert.Equal("prices", answer.GetProperty("name").GetString());
        Assert.Equal(
            new GroupSettings
            {
                Durability = GroupDurability.Memory, RetainTime = TimeSpan.FromHours(1), RetainBytes = 1 << 20, Lifetime = 5000,
            },
            _groups["prices"].Settings);

        using HttpResponseMessage again = await PutAsync("prices", Settings);
        Assert.Equal(HttpStatusCode.OK, again.StatusCode);
        using HttpResponseMessage other = await PutAsync("prices", "{}");
        await other.ProblemAsync(409, "group-exists");
    }

    [Fact]
    public async Task Body_may_be_left_out()
    {
        using HttpResponseMessage made = await PutAsync("plain", "");
        Assert.Equal(HttpStatusCode.OK, made.StatusCode);
        Assert.Equal(new GroupSettings(), _groups["plain"].Settings);
    }

    [Theory]
    [InlineData("""{"durability":"both"}""", "durability")]
    [InlineData("""{"retainTime":0}""", "retainTime")]
    [InlineData("""{"retainTime":-1}""", "retainTime")]
    [InlineData("""{"retainTime":99999999999}""", "retainTime")]
    [InlineData("""{"retainBytes":1}""", "retainBytes")]
    [InlineData("""{"lifetime":1}""", "lifetime")]
    [InlineData("""{"lifetime":1e400}""", "lifetime")]
    [InlineData("""{"lifetime":5000,"lifetime":6000}""", "twice")]
    [InlineData("""{"life":1}""", "life")]
    [InlineData("[]", "object")]
    [InlineData("{", "JSON")]
    public async Task Settings_that_are_not_right_are_named(string json, string words)
    {
        using HttpResponseMessage response = await PutAsync("g", json);
        JsonElement problem = await response.ProblemAsync(400, "bad-settings");
        Assert.Contains(words, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Groups_are_shown_one_and_all()
    {
        _groups["first"].Add("x");
        using HttpResponseMessage one = await _house.GetAsync("/v1/groups/first");
        JsonElement shown = await one.JsonAsync();
        Assert.Equal(1u, shown.GetProperty("committed").GetUInt64());
        Assert.Equal(1u, shown.GetProperty("first").GetUInt64());
        Assert.Equal("s1", shown.GetProperty("sequencer").GetString());
        Assert.Equal(3u, shown.GetProperty("epoch").GetUInt64());
        using HttpResponseMessage all = await _house.GetAsync("/v1/groups");
        JsonElement listed = Assert.Single((await all.JsonAsync()).GetProperty("groups").EnumerateArray());
        Assert.Equal("first", listed.GetProperty("name").GetString());
        using HttpResponseMessage none = await _house.GetAsync("/v1/groups/second");
        await none.ProblemAsync(404, "group-not-found");
    }

    [Fact]
    public async Task Group_is_removed_and_its_absence_told()
    {
        using HttpResponseMessage there = await _house.SendAsync(HttpMethod.Delete, "/v1/groups/first");
        Assert.True((await there.JsonAsync()).GetProperty("existed").GetBoolean());
        using HttpResponseMessage gone = await _house.SendAsync(HttpMethod.Delete, "/v1/groups/first");
        Assert.False((await gone.JsonAsync()).GetProperty("existed").GetBoolean());
    }

    [Theory]
    [InlineData("GET", "/v1/groups/BAD", 400, "bad-group-name")]
    [InlineData("GET", "/v1/groups/-bad", 400, "bad-group-name")]
    [InlineData("GET", "/v1/groups/%ff", 400, "bad-group-name")]
    [InlineData("GET", "/v1/groups/0123456789012345678901234567890123456", 400, "bad-group-name")]
    [InlineData("GET", "/v1/groups/first/other", 404, "no-such-route")]
    [InlineData("GET", "/v1/groups/first?x=1", 400, "bad-request")]
    [InlineData("POST", "/v1/groups/first", 405, "method-not-allowed")]
    [InlineData("DELETE", "/v1/groups", 405, "method-not-allowed")]
    [InlineData("PUT", "/v1/groups/first/messages", 405, "method-not-allowed")]
    [InlineData("PUT", "/v1/groups/catalog", 403, "group-reserved")]
    [InlineData("DELETE", "/v1/groups/catalog", 403, "group-reserved")]
    [InlineData("POST", "/v1/groups/catalog/messages", 403, "group-reserved")]
    [InlineData("GET", "/v1/groups/second/messages", 404, "group-not-found")]
    [InlineData("POST", "/v1/groups/second/messages", 404, "group-not-found")]
    public async Task Request_that_is_not_right_is_told(string method, string path, int status, string code)
    {
        using HttpResponseMessage response = await _house.SendAsync(new HttpMethod(method), path);
        await response.ProblemAsync(status, code);
    }

    [Fact]
    public async Task Server_without_groups_says_so()
    {
        await using GatewayHouse bare = await GatewayHouse.StartAsync();
        using HttpResponseMessage response = await bare.GetAsync("/v1/groups");
        await response.ProblemAsync(404, "no-such-route");
    }

    private Task<HttpResponseMessage> PutAsync(string group, string json) =>
        _house.PutAsync("/v1/groups/" + group, Encoding.UTF8.GetBytes(json));
}
