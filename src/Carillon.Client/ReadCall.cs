using System.Net.Http.Headers;

namespace Carillon.Client;

/// <summary>
/// One small read, tried at the servers in turn: a definite answer of any server ends it, a server in trouble passes it on.
/// </summary>
internal static class ReadCall
{
    /// <summary>Sends, and gives the answer to <paramref name="read"/>.</summary>
    /// <param name="transport">The servers.</param>
    /// <param name="method">A request that may be made more than once.</param>
    /// <param name="path">Percent-encoded.</param>
    /// <param name="read">Reads a good answer.</param>
    /// <param name="cancellation">The caller gives up.</param>
    /// <param name="json">What is sent along, or null.</param>
    /// <exception cref="CarillonException">No server gave an answer, or the answer is a definite no.</exception>
    public static async Task<T> RunAsync<T>(
        Transport transport, HttpMethod method, string path, Func<HttpResponseMessage, CancellationToken, Task<T>> read,
            CancellationToken cancellation, byte[]? json = null)
    {
        CarillonClientOptions options = transport.Options;
        long start = Environment.TickCount64;
        transport.CallBegins();
        var rotation = new Rotation(transport);
        Problem? worst = null;
        while (await rotation.NextAsync(cancellation) is var server && server >= 0)
        {
            TimeSpan left = options.Timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - start);
            if (left <= TimeSpan.Zero)
            {
                break;
            }

            TimeSpan patience = rotation.IsOver || left < options.AttemptTimeout ? left : options.AttemptTimeout;
            using var guard = new StallGuard(patience, cancellation);
            try
            {
                using HttpRequestMessage request = transport.Request(method, server, path);
                if (json is not null || method != HttpMethod.Get && method != HttpMethod.Head)
                {
                    request.Content = new ByteArrayContent(json ?? []);
                    request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                }

                using HttpResponseMessage response = await transport.SendAsync(request, guard.Token);
                if (response.IsSuccessStatusCode)
                {
                    T value = await read(response, guard.Token);
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
                // An answer, even a bad one, says more than a silence.
                Problem problem = transport.ProblemOf(fault, server, guard);
                worst = worst is null || worst.Status == 0 ? problem : worst;
            }
        }

        throw new CarillonException(worst ?? Problem.Own("timeout", "no answer in time"));
    }
}
