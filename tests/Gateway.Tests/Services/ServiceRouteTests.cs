using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Xunit;

namespace Carillon.Gateway.Tests.Services;

/// <summary>Services over HTTP: wishes, what is shown, and where a primary is.</summary>
public sealed class ServiceRouteTests : IAsyncLifetime
{
    private readonly FakeServices _services = new();
    private GatewayHouse _house = null!;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync(services: _services);

    public async ValueTask DisposeAsync()
    {
        await _house.DisposeAsync();
        await _services.DisposeAsync();
    }

    [Fact]
    public async Task Definition_is_read_in_all_its_parts()
    {
        const string Json = """
            {"providers":["s1","s2","s3"],"prefer":"s2","secondaries":1,"with":"other","command":["sh","-c","x"],
             "secondaryCommand":["y"],"checkpointFile":"state","graceMs":500}
            """;
        using HttpResponseMessage response = await PutAsync("counter?replace=true", Json);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.True(_services.Requests.TryDequeue(out ServiceRequest? request));
        ServiceRequest.Add add = Assert.IsType<ServiceRequest.Add>(request);
        Assert.True(add.Replace);
        Assert.Equal(
            new ServiceDefinition
            {
                Name = ServiceName.Parse("counter"),
                Providers = [NodeId.Parse("s1"), NodeId.Parse("s2"), NodeId.Parse("s3")],
                Preferred = NodeId.Parse("s2"),
                WantedSecondaries = 1,
                With = ServiceName.Parse("other"),
                Command = new ServiceCommand
                {
                    Arguments = ["sh", "-c", "x"], Secondary = ["y"], CheckpointFile = "state", Grace = TimeSpan.FromMilliseconds(500),
                },
            },
            add.Definition);
    }

    [Theory]
    [InlineData("""{"providers":[]}""", "providers")]
    [InlineData("""{"providers":["s1","s1"]}""", "twice")]
    [InlineData("""{"providers":["S1"]}""", "S1")]
    [InlineData("""{"providers":["s1"],"prefer":"s2"}""", "prefer")]
    [InlineData("""{"providers":["s1"],"secondaries":1}""", "secondaries")]
    [InlineData("""{"providers":["s1"],"with":"counter"}""", "itself")]
    [InlineData("""{"providers":["s1"],"checkpointFile":"x"}""", "go with")]
    [InlineData("""{"providers":["s1"],"command":["a"],"checkpointFile":"../x"}""", "folder")]
    [InlineData("""{"providers":["s1"],"command":[""]}""", "program")]
    [InlineData("""{"providers":["s1"],"graceMs":-1}""", "graceMs")]
    [InlineData("""{"providers":["s1"],"colour":"red"}""", "colour")]
    [InlineData("""[]""", "object")]
    public async Task Bad_definition_is_refused_with_what_is_wrong(string json, string named)
    {
        using HttpResponseMessage response = await PutAsync("counter", json);
        JsonElement problem = await response.ProblemAsync(400, "bad-service");
        Assert.Contains(named, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Empty(_services.Requests);
    }

    [Theory]
    [InlineData(ServiceResult.Refused, 409, "service-refused")]
    [InlineData(ServiceResult.NotFound, 404, "service-not-found")]
    [InlineData(ServiceResult.Unavailable, 503, "no-replica-manager")]
    public async Task Wish_that_is_not_done_is_told_with_its_reason(ServiceResult result, int status, string code)
    {
        _services.Answer = new ServiceAnswer(result, "a depends on b depends on a");
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Delete, "/v1/services/counter");
        JsonElement problem = await response.ProblemAsync(status, code);
        Assert.Equal("a depends on b depends on a.", problem.GetProperty("detail").GetString());
    }

    [Fact]
    public async Task Move_and_providers_become_wishes()
    {
        using var moved = await _house.SendAsync(HttpMethod.Post, "/v1/services/counter/move", Json("""{"target":"s2"}"""));
        using var away = await _house.SendAsync(HttpMethod.Post, "/v1/services/counter/move");
        using var more = await _house.SendAsync(HttpMethod.Put, "/v1/services/counter/providers/s4");
        using var fewer = await _house.SendAsync(HttpMethod.Delete, "/v1/services/counter/providers/s4");
        ServiceName counter = ServiceName.Parse("counter");
        Assert.Equal(
            [
                new ServiceRequest.Move(counter, NodeId.Parse("s2")), new ServiceRequest.Move(counter, default),
                new ServiceRequest.Register(counter, NodeId.Parse("s4")), new ServiceRequest.Unregister(counter, NodeId.Parse("s4")),
            ],
            _services.Requests);
    }

    [Fact]
    public async Task Service_is_shown_with_its_history()
    {
        _services.All =
        [
            new ServiceStatus
            {
                Definition = new ServiceDefinition { Name = ServiceName.Parse("counter"), Providers = [NodeId.Parse("s1")] },
                Primary = NodeId.Parse("s1"),
                Epoch = new Epoch(3),
                Roles = [(NodeId.Parse("s1"), ServiceRole.Primary)],
                History = [new PrimaryChange(new Epoch(3), NodeId.Parse("s1"), new WallTime(0), "s2 died", TimeSpan.FromSeconds(2))],
                State = "primary here",
            },
        ];
        using HttpResponseMessage shown = await _house.GetAsync("/v1/services/counter");
        JsonElement service = await shown.JsonAsync();
        Assert.Equal("s1", service.GetProperty("primary").GetString());
        Assert.Equal(3, service.GetProperty("epoch").GetInt32());
        Assert.Equal(2000, service.GetProperty("history")[0].GetProperty("gapMs").GetInt32());
        Assert.Equal("1970-01-01T00:00:00Z", service.GetProperty("history")[0].GetProperty("at").GetString());
        using HttpResponseMessage listed = await _house.GetAsync("/v1/services");
        Assert.Equal(service.ToString(), (await listed.JsonAsync()).GetProperty("services")[0].ToString());
        using HttpResponseMessage none = await _house.GetAsync("/v1/services/other");
        await none.ProblemAsync(404, "service-not-found");
    }

    [Fact]
    public async Task Requester_waits_while_the_service_changes_hands()
    {
        ServiceName counter = ServiceName.Parse("counter");
        using HttpResponseMessage unknown = await _house.GetAsync("/v1/services/counter/primary");
        await unknown.ProblemAsync(503, "no-primary");
        _services.Supervisor.Carry(new ServiceOrder.HoldRequesters(counter));
        Task<HttpResponseMessage> asked = _house.GetAsync("/v1/services/counter/primary?wait=30");
        _services.Supervisor.Carry(new ServiceOrder.ReleaseRequesters(counter, NodeId.Parse("s1"), new Epoch(4)));
        using HttpResponseMessage told = await asked;
        JsonElement place = await told.JsonAsync();
        Assert.Equal("s1", place.GetProperty("primary").GetString());
        Assert.Equal(4, place.GetProperty("epoch").GetInt32());
    }

    [Theory]
    [InlineData("/v1/services/Counter", 400, "bad-service-name")]
    [InlineData("/v1/services/counter/nothing", 404, "no-such-route")]
    [InlineData("/v1/services/counter/primary?wait=soon", 400, "bad-request")]
    public async Task Bad_path_is_told(string path, int status, string code)
    {
        using HttpResponseMessage response = await _house.GetAsync(path);
        await response.ProblemAsync(status, code);
    }

    private static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");

    private Task<HttpResponseMessage> PutAsync(string service, string json) =>
        _house.SendAsync(HttpMethod.Put, "/v1/services/" + service, Json(json));
}
