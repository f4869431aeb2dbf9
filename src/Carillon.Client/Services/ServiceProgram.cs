using System.Net.Http.Headers;
using System.Text.Json;
using Carillon.Protocols.Primacy;

namespace Carillon.Client.Services;

/// <summary>
/// Makes a program a provider of a service: it opens a session with one of the servers that may provide it, and carries out what that
/// server orders. A lost session costs the role; the service is stopped within its lease, and another session is opened.
/// </summary>
public sealed class ServiceProgram
{
    private readonly Transport _transport;
    private readonly string _name;
    private readonly IHighlyAvailableService _service;
    private readonly ServiceProgramOptions _options;
    private readonly KeptCheckpoint _kept;
    private StateNumber _state = new();
    private string _said = "";

    private ServiceProgram(CarillonClient client, string name, IHighlyAvailableService service, ServiceProgramOptions options)
    {
        _transport = client.Transport;
        _name = name;
        _service = service;
        _options = options;
        _kept = new KeptCheckpoint(options.Folder);
    }

    /// <summary>Provides the service until it is cancelled; then the role is given up in good order.</summary>
    /// <exception cref="CarillonException">The name is none, or another program has the folder.</exception>
    public static async Task RunAsync(
        CarillonClient client, string name, IHighlyAvailableService service, ServiceProgramOptions? options = null,
        CancellationToken cancellation = default)
    {
        if (!ServiceName.TryParse(name, out _))
        {
            throw new CarillonException(Failure.Usage, $"'{name}' is not a service's name");
        }

        var program = new ServiceProgram(client, name, service, options ?? new ServiceProgramOptions());
        await program.RunAsync(cancellation);
    }

    private async Task RunAsync(CancellationToken cancellation)
    {
        using IDisposable? taken = _kept.Take();
        if (_kept.Read() is var (state, content))
        {
            await _service.ApplyCheckpoint(content);
            _state = state;
        }

        int server = _options.FirstServerOnly ? 0 : _transport.Preferred;
        for (; !cancellation.IsCancellationRequested; server = _options.FirstServerOnly ? 0 : (server + 1) % _transport.ServerCount)
        {
            _transport.CallBegins();
            try
            {
                await OpenAsync(server, cancellation);
            }
            catch (Exception fault) when (Transport.IsTransportFault(fault) || fault is CarillonException)
            {
                Say($"no session: {fault.Message}");
            }

            try
            {
                await Task.Delay(_options.ReopenDelay, cancellation);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task OpenAsync(int server, CancellationToken cancellation)
    {
        string path = ServiceCalls.Path(_name) + "/sessions";
        using HttpRequestMessage request = _transport.Request(HttpMethod.Post, server, path);
        request.Content = Json(JsonSerializer.SerializeToUtf8Bytes(new SessionHello(_state), ClientJson.Default.SessionHello));
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(_transport.Options.AttemptTimeout);
        using HttpResponseMessage response = await _transport.SendAsync(request, patience.Token);
        if (!response.IsSuccessStatusCode)
        {
            throw new CarillonException(await _transport.ReadProblemAsync(response, server, patience.Token));
        }

        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(patience.Token));
        SessionOrder hello = Order(await lines.ReadLineAsync(patience.Token));
        Say($"a session with {hello.Node}");
        _transport.Preferred = server;
        await using var session = new ServiceSession(_transport, server, $"{path}/{hello.Id}", _service, _options, _kept, _state);
        try
        {
            await session.RunAsync(lines, cancellation);
        }
        finally
        {
            _state = session.State;
        }
    }

    internal static SessionOrder Order(string? line) => line is null
        ? throw new IOException("the session has ended")
        : Transport.Parse(System.Text.Encoding.UTF8.GetBytes(line), ClientJson.Default.SessionOrder);

    internal static ByteArrayContent Json(byte[] json)
    {
        var content = new ByteArrayContent(json);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }

    // What goes wrong again and again in the same way is told once.
    private void Say(string what)
    {
        if (_said != what)
        {
            _said = what;
            _options.Observer?.Invoke($"service {_name}: {what}");
        }
    }
}
