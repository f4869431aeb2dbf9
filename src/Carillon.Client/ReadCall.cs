using System.Net.Http.Headers;
using System.Text.Json.Serialization.Metadata;

namespace Carillon.Client;

/// <summary>
/// One read, tried at the servers in turn: a definite answer of any server ends it, a server in trouble passes it on.
/// </summary>
internal static class ReadCall
{
    /// <summary>Asks for a document.</summary>
    /// <param name="transport">The servers.</param>
    /// <param name="method">A request that may be made more than once.</param>
    /// <param name="path">Percent-encoded.</param>
    /// <param name="type">What the answer is.</param>
    /// <param name="cancellation">The caller gives up.</param>
    /// <param name="json">What is sent along, or null.</param>
    /// <exception cref="CarillonException">No server gave an answer, or the answer is a definite no.</exception>
    public static Task<Document<T>> DocumentAsync<T>(
        Transport transport, HttpMethod method, string path, JsonTypeInfo<T> type, CancellationToken cancellation, byte[]? json = null)
        where T : class =>
        RunAsync(
            transport,
            method,
            path,
            async (response, token) =>
            {
                byte[] answer = await Transport.ReadWholeAsync(response, token);
                return new Document<T>(Transport.Parse(answer, type), answer);
            },
            cancellation,
            json);

    /// <summary>A small request: all attempts together have the call's time, each but the last an attempt's.</summary>
    /// <exception cref="CarillonException">No server gave an answer, or the answer is a definite no.</exception>
    public static Task<T> RunAsync<T>(
        Transport transport, HttpMethod method, string path, Func<HttpResponseMessage, CancellationToken, Task<T>> read,
        CancellationToken cancellation, byte[]? json = null)
    {
        CarillonClientOptions options = transport.Options;
        long start = Environment.TickCount64;
        return InTurnAsync(
            transport,
            rotation =>
            {
                TimeSpan left = options.Timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - start);
                return rotation.IsOver || left < options.AttemptTimeout ? left : options.AttemptTimeout;
            },
            server =>
            {
                HttpRequestMessage request = transport.Request(method, server, path);
                if (json is not null || method != HttpMethod.Get && method != HttpMethod.Head)
                {
                    request.Content = new ByteArrayContent(json ?? []);
                    request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                }

                return request;
            },
            (response, guard) => read(response, guard.Token),
            cancellation);
    }

    /// <summary>A long answer: an attempt goes on as long as something comes.</summary>
    /// <exception cref="CarillonException">No server gave an answer to its end, or the answer is a definite no.</exception>
    public static Task<T> StreamAsync<T>(
        Transport transport, Func<int, HttpRequestMessage> build, Func<HttpResponseMessage, Stream, StallGuard, Task<T>> read,
        CancellationToken cancellation) =>
        InTurnAsync(
            transport,
            _ => transport.Options.Timeout,
            build,
            async (response, guard) =>
            {
                guard.Progress();
                await using Stream stream = await response.Content.ReadAsStreamAsync(guard.Token);
                return await read(response, stream, guard);
            },
            cancellation);

    private static async Task<T> InTurnAsync<T>(
        Transport transport, Func<Rotation, TimeSpan> patience, Func<int, HttpRequestMessage> build,
        Func<HttpResponseMessage, StallGuard, Task<T>> read, CancellationToken cancellation)
    {
        transport.CallBegins();
        var rotation = new Rotation(transport);
        Problem? worst = null;
        while (await rotation.NextAsync(cancellation) is var server && server >= 0)
        {
            TimeSpan span = patience(rotation);
            if (span <= TimeSpan.Zero)
            {
                break;
            }

            using var guard = new StallGuard(span, cancellation);
            try
            {
                using HttpRequestMessage request = build(server);
                using HttpResponseMessage response = await transport.SendAsync(request, guard.Token);
                if (response.IsSuccessStatusCode)
                {
                    T value = await read(response, guard);
                    transport.Preferred = server;
                    return value;
                }

                Problem problem = await transport.ReadProblemAsync(response, server, guard.Token);
                if (problem.Status < 500 || problem.Status == 501)
                {
                    throw new CarillonException(problem);
                }

                worst = problem;
                rotation.Answered(server, problem);
            }
            catch (Exception fault) when (Transport.IsTransportFault(fault) && !cancellation.IsCancellationRequested)
            {
                // An answer, even a bad one, says more than a silence, and a silence more than that nobody is there.
                Problem problem = transport.ProblemOf(fault, server, guard);
                worst = worst is null or { Status: 0, Code: "unreachable" } ? problem : worst;
            }
        }

        throw new CarillonException(worst ?? Problem.Own("timeout", "no answer in time"));
    }
}
