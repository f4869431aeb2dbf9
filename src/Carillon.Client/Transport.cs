using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Carillon.Client;

/// <summary>
/// The connections to the servers. Plain HTTP/1.1 with kept-alive connections: with one request in flight per connection it
/// costs less processor time than HTTP/2's framing, and a large body never holds up another one's answer.
/// </summary>
internal sealed class Transport : IDisposable
{
    // The largest JSON answer that is taken in whole: a page of a listing with metadata stays well below.
    private const int MaxAnswerBytes = 64 << 20;

    // Made when it is first needed: a command that puts one small file never does, and starts the faster for it.
    private readonly Lazy<HttpMessageInvoker> _invoker;
    private readonly string? _authorization;
    private readonly Lock _gate = new();
    private readonly ServerLearning _learning;

    // Replaced as a whole when a server is learned; grows only, so that an index stays good.
    private volatile Endpoint[] _endpoints;
    private volatile int _preferred;

    public Transport(CarillonClientOptions options)
    {
        Options = options;
        _authorization = options.Token is { Length: > 0 } token ? "Bearer " + token : null;
        CheckAuthority(options);
        _invoker = new Lazy<HttpMessageInvoker>(() => new HttpMessageInvoker(CreateHandler(options)));
        _endpoints = [.. options.Servers.Select(EndpointOf)];
        _learning = new ServerLearning(this);
    }

    public CarillonClientOptions Options { get; }

    /// <summary>Servers that are known; grows while more are learned.</summary>
    public int ServerCount => _endpoints.Length;

    /// <summary>The server that answered last; new calls begin there.</summary>
    public int Preferred
    {
        get => _preferred;
        set => _preferred = value;
    }

    public Uri Server(int index) => _endpoints[index].Address;

    /// <summary>A call begins; from the second on other servers are asked for.</summary>
    public void CallBegins() => _learning.CallBegins();

    /// <summary>A long transfer has begun with this server: it is asked for others now, while it can still tell.</summary>
    public void Learn(int server) => _learning.Begin(server);

    /// <summary>Until what is being learned at present is known.</summary>
    public Task WaitForLearningAsync() => _learning.WaitAsync();

    /// <summary>Adds a server that another one told of, unless it is known.</summary>
    public void Add(Uri server)
    {
        lock (_gate)
        {
            if (_endpoints.Length < CarillonClientOptions.MaxServers
                && !Array.Exists(_endpoints, e => ServerLearning.IsSame(e.Address, server)))
            {
                _endpoints = [.. _endpoints, EndpointOf(server)];
            }
        }
    }

    /// <summary>A request to one server; the path is percent-encoded already.</summary>
    public HttpRequestMessage Request(HttpMethod method, int server, string pathAndQuery)
    {
        // The path is ours and canonical; to let Uri unescape and compress it again would change names such as "a%2Fb".
        var canonical = new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true };
        var uri = new Uri(_endpoints[server].Base + pathAndQuery, canonical);
        var request = new HttpRequestMessage(
            method, uri) { Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        if (_authorization is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", _authorization);
        }

        return request;
    }

    /// <summary>Sends, and returns once the answer's headers are here.</summary>
    public Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellation) =>
        _invoker.Value.SendAsync(request, cancellation);

    /// <summary>Reads a whole, small answer.</summary>
    /// <exception cref="InvalidDataException">It is not small.</exception>
    public static async Task<byte[]> ReadWholeAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        if (response.Content.Headers.ContentLength is not { } length)
        {
            await response.Content.LoadIntoBufferAsync(MaxAnswerBytes, cancellation);
            return await response.Content.ReadAsByteArrayAsync(cancellation);
        }

        if (length > MaxAnswerBytes)
        {
            throw new InvalidDataException($"the answer has {length} bytes, more than {MaxAnswerBytes}");
        }

        byte[] whole = new byte[length];
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellation);
        await stream.ReadExactlyAsync(whole, cancellation);
        return whole;
    }

    /// <summary>Reads a JSON answer.</summary>
    /// <exception cref="InvalidDataException">It is not the JSON that was expected.</exception>
    public static T Parse<T>(ReadOnlySpan<byte> json, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw new InvalidDataException("the server's answer is empty");
        }
        catch (JsonException fault)
        {
            throw new InvalidDataException("the server's answer is not what this version understands: " + fault.Message, fault);
        }
    }

    /// <summary>The problem that an answer other than 2xx tells; what is no problem document becomes one by its status.</summary>
    public async Task<Problem> ReadProblemAsync(HttpResponseMessage response, int server, CancellationToken cancellation)
    {
        string mediaType = response.Content.Headers.ContentType?.MediaType ?? "";
        if (response.RequestMessage?.Method == HttpMethod.Head || !IsJson(mediaType))
        {
            // A HEAD has no body to explain itself in, but for these headers.
            Problem told = new() { Code = Header(response, "Carillon-Problem"), RequestId = Header(response, "Carillon-Request-Id") };
            return Complete(told, (int)response.StatusCode, server);
        }

        try
        {
            byte[] body = await ReadWholeAsync(response, cancellation);
            return ProblemOf(new RawAnswer((int)response.StatusCode, mediaType, body), server);
        }
        catch (Exception fault) when (fault is InvalidDataException or HttpRequestException or IOException)
        {
            var unread = new Problem { Detail = "its explanation could not be read: " + fault.Message };
            return Complete(unread, (int)response.StatusCode, server);
        }
    }

    /// <summary>The same for an answer that is here whole.</summary>
    public Problem ProblemOf(RawAnswer answer, int server)
    {
        Problem problem = new();
        if (IsJson(answer.MediaType))
        {
            try
            {
                problem = Parse(answer.Body.Span, ClientJson.Default.Problem);
            }
            catch (InvalidDataException fault)
            {
                problem = new Problem { Detail = "its explanation could not be read: " + fault.Message };
            }
        }

        return Complete(problem, answer.Status, server);
    }

    /// <summary>The direct connections to a server; null where it takes more than they can, as TLS.</summary>
    public DirectPool? Direct(int server) => _endpoints[server].Direct;

    /// <summary>True if the request can't have left this machine.</summary>
    public static bool NeverSent(Exception fault, StallGuard guard) => fault switch
    {
        HttpRequestException request => request.HttpRequestError
            is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError,
        // The handler ends a connection attempt that takes too long with a cancellation that is nobody's.
        OperationCanceledException => !guard.Token.IsCancellationRequested,
        _ => false,
    };

    /// <summary>True for what a connection or a server in trouble throws, and not the program. A bare <see cref="SocketException"/> is one
    /// that broke as soon as it was made: the handler asks it for its other end.</summary>
    public static bool IsTransportFault(Exception fault) =>
        fault is HttpRequestException or IOException or SocketException or OperationCanceledException or InvalidDataException;

    /// <summary>What a fault of the connection is in words.</summary>
    public Problem ProblemOf(Exception fault, int server, StallGuard guard)
    {
        (string code, string detail) = fault switch
        {
            _ when guard.Stalled => ("timeout", "no answer in time"),
            HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } => Innermost(fault) is var why
                && why.Contains("certificate", StringComparison.OrdinalIgnoreCase)
                ? ("tls", "its certificate is not trusted: " + why)
                : ("no-tls", "it does not speak TLS, or not as this program does: " + why),
            _ when NeverSent(fault, guard) => ("unreachable", "can't be reached: " + Innermost(fault)),
            InvalidDataException => ("bad-answer", fault.Message),
            _ => ("connection-lost", "the connection was lost: " + Innermost(fault)),
        };
        return Problem.Own(code, detail) with { Server = Server(server), Retryable = true };
    }

    public void Dispose()
    {
        _learning.Dispose();
        if (_invoker.IsValueCreated)
        {
            _invoker.Value.Dispose();
        }

        lock (_gate)
        {
            foreach (Endpoint endpoint in _endpoints)
            {
                endpoint.Direct?.Dispose();
            }
        }
    }

    private Endpoint EndpointOf(Uri server) => new(
        server,
        server.GetLeftPart(UriPartial.Authority),
        server.Scheme == Uri.UriSchemeHttp ? new DirectPool(server, _authorization, Options.ConnectTimeout) : null);

    private Problem Complete(Problem problem, int status, int server) => problem with
    {
        Status = status,
        Server = Server(server),
        Code = problem.Code.Length > 0 ? problem.Code : CodeOf(status),
        Title = problem.Title.Length > 0 ? problem.Title : TitleOf(problem.Code, status),
    };

    // Where a code came without words.
    private static string TitleOf(string code, int status) => code switch
    {
        "not-found" => "there is no such object or version",
        "bucket-not-found" => "there is no such bucket",
        "read-unavailable" => "no quorum could be asked",
        _ => string.Create(CultureInfo.InvariantCulture, $"the server answered {status} {(HttpStatusCode)status}"),
    };

    private static bool IsJson(string mediaType) => mediaType is "application/problem+json" or "application/json";

    private static string Header(HttpResponseMessage response, string name) =>
        response.Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : "";

    private static string Innermost(Exception fault)
    {
        while (fault.InnerException is not null)
        {
            fault = fault.InnerException;
        }

        return fault.Message;
    }

    private static string CodeOf(int status) => status switch
    {
        404 => "not-found",
        504 => "outcome-unknown",
        _ => string.Create(CultureInfo.InvariantCulture, $"http-{status}"),
    };

    private static void CheckAuthority(CarillonClientOptions options)
    {
        if (options.CertificateAuthorityFile is { } file)
        {
            foreach (X509Certificate2 authority in LoadAuthorities(file))
            {
                authority.Dispose();
            }
        }
    }

    private static X509Certificate2Collection LoadAuthorities(string file)
    {
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPemFile(file);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new CarillonException(Failure.Usage, $"{file}: {fault.Message}", fault);
        }

        return authorities.Count > 0 ? authorities : throw new CarillonException(Failure.Usage, $"{file}: there is no certificate in it");
    }

    private static SocketsHttpHandler CreateHandler(CarillonClientOptions options)
    {
        var handler = new SocketsHttpHandler
        {
            ConnectTimeout = options.ConnectTimeout,
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ActivityHeadersPropagator = null,
            PooledConnectionLifetime = Timeout.InfiniteTimeSpan,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(60),
            Expect100ContinueTimeout = TimeSpan.FromSeconds(2),
            MaxResponseDrainSize = 64 << 10,
        };
        if (options.CertificateAuthorityFile is { } file)
        {
            X509Certificate2Collection authorities = LoadAuthorities(file);
            handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck,
            };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        }

        return handler;
    }

    /// <summary>One server's address, the part of a request's address that names it, and its direct connections.</summary>
    private sealed record Endpoint(Uri Address, string Base, DirectPool? Direct);
}
