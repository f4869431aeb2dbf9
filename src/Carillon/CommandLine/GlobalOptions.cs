using System.Collections.Immutable;
using System.CommandLine;
using Carillon.Client;

namespace Carillon.CommandLine;

/// <summary>The options that every command takes, each with its twin in the environment: the command line wins.</summary>
internal sealed class GlobalOptions
{
    private const string DefaultServer = "http://127.0.0.1:7410";

    private readonly Func<string, string?> _environment;

    public GlobalOptions(Func<string, string?>? environment = null) => _environment = environment ?? Environment.GetEnvironmentVariable;

    public Option<string?> Server { get; } = new("--server")
    {
        Description = $"Servers to ask, comma-separated; the next is tried when one fails; others are learned [CARILLON_SERVER; {DefaultServer}]",
        HelpName = "URL[,URL…]",
        Recursive = true,
    };

    public Option<string?> TokenFile { get; } = new("--token-file")
    {
        Description = "File with the bearer token [CARILLON_TOKEN_FILE, or the token itself in CARILLON_TOKEN]",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<string?> AuthorityFile { get; } = new("--ca-file")
    {
        Description = "PEM file of the authority that vouches for the servers [CARILLON_CA_FILE]",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<string?> Timeout { get; } = new("--timeout")
    {
        Description = "End after so long without progress, as 500ms, 30s, 2m [CARILLON_TIMEOUT; 30s]",
        HelpName = "T",
        Recursive = true,
    };

    public Option<string?> Output { get; } = new("--output", "-o")
    {
        Description = "table, json, jsonl or name [CARILLON_OUTPUT; table]",
        HelpName = "FORMAT",
        Recursive = true,
    };

    public Option<string?> Progress { get; } = new("--progress")
    {
        Description = "auto, plain, json or none, on standard error [CARILLON_PROGRESS; auto: bars on a terminal]",
        HelpName = "HOW",
        Recursive = true,
    };

    public Option<bool> Quiet { get; } = new("--quiet", "-q")
    {
        Description = "Say nothing but results and errors [CARILLON_QUIET]",
        Recursive = true,
    };

    public Option<bool> NoColor { get; } = new("--no-color") { Description = "No colours [NO_COLOR, CARILLON_NO_COLOR]", Recursive = true };

    public Option<bool> Debug { get; } = new("--debug")
    {
        Description = "With an error, its whole trace [CARILLON_DEBUG]",
        Recursive = true,
    };

    /// <summary>All of them.</summary>
    public IEnumerable<Option> All => [Server, TokenFile, AuthorityFile, Timeout, Output, Progress, Quiet, NoColor, Debug];

    /// <summary>How results are to be written.</summary>
    public OutputFormat Format(ParseResult parse) => (parse.GetValue(Output) ?? _environment("CARILLON_OUTPUT")) switch
    {
        null or "" or "table" => OutputFormat.Table,
        "json" => OutputFormat.Json,
        "jsonl" => OutputFormat.JsonLines,
        "name" => OutputFormat.Name,
        { } other => throw new UsageException($"-o {other}: use table, json, jsonl or name"),
    };

    /// <summary>How progress is to be shown.</summary>
    public ProgressMode ProgressMode(ParseResult parse) => (parse.GetValue(Progress) ?? _environment("CARILLON_PROGRESS")) switch
    {
        null or "" or "auto" => CommandLine.ProgressMode.Auto,
        "plain" => CommandLine.ProgressMode.Plain,
        "json" => CommandLine.ProgressMode.Json,
        "none" => CommandLine.ProgressMode.None,
        { } other => throw new UsageException($"--progress {other}: use auto, plain, json or none"),
    };

    public bool IsQuiet(ParseResult parse) => parse.GetValue(Quiet) || IsSet("CARILLON_QUIET");

    public bool IsColorless(ParseResult parse) => parse.GetValue(NoColor) || IsSet("NO_COLOR") || IsSet("CARILLON_NO_COLOR");

    public bool IsDebug(ParseResult parse) => parse.GetValue(Debug) || IsSet("CARILLON_DEBUG");

    /// <summary>How long an operation may go without progress.</summary>
    public TimeSpan TimeoutSpan(ParseResult parse)
    {
        string? text = parse.GetValue(Timeout) ?? _environment("CARILLON_TIMEOUT");
        if (string.IsNullOrEmpty(text))
        {
            return TimeSpan.FromSeconds(30);
        }

        return Quantities.TryDuration(text, out TimeSpan timeout) && timeout > TimeSpan.Zero
            ? timeout
            : throw new UsageException($"--timeout {text}: use a duration such as 500ms, 30s or 2m");
    }

    /// <summary>How a client of the cluster is to be made.</summary>
    public CarillonClientOptions ClientOptions(ParseResult parse)
    {
        TimeSpan timeout = TimeoutSpan(parse);
        CarillonClientOptions defaults = new();
        return new CarillonClientOptions
        {
            Servers = Servers(parse),
            Token = Token(parse),
            CertificateAuthorityFile = Existing(Given(parse, AuthorityFile, "CARILLON_CA_FILE"), "--ca-file"),
            Timeout = timeout,
            AttemptTimeout = timeout < defaults.AttemptTimeout ? timeout : defaults.AttemptTimeout,
            StallTimeout = timeout < defaults.StallTimeout ? timeout : defaults.StallTimeout,
            ConnectTimeout = timeout < defaults.ConnectTimeout ? timeout : defaults.ConnectTimeout,
        };
    }

    private ImmutableArray<Uri> Servers(ParseResult parse)
    {
        string text = Given(parse, Server, "CARILLON_SERVER") ?? DefaultServer;
        var servers = ImmutableArray.CreateBuilder<Uri>();
        foreach (string part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string url = part.Contains("://", StringComparison.Ordinal) ? part : "http://" + part;
            if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? server) || server.Host.Length == 0)
            {
                throw new UsageException($"--server {part}: use http://HOST:PORT");
            }

            servers.Add(server);
        }

        return servers.Count > 0 ? servers.DrainToImmutable() : throw new UsageException("--server: no server is given");
    }

    private string? Token(ParseResult parse)
    {
        if (parse.GetValue(TokenFile) is null && _environment("CARILLON_TOKEN") is { Length: > 0 } token)
        {
            return token;
        }

        string? file = Existing(Given(parse, TokenFile, "CARILLON_TOKEN_FILE"), "--token-file");
        return file is null ? null : File.ReadAllText(file).Trim();
    }

    private string? Given(ParseResult parse, Option<string?> option, string variable)
    {
        string? value = parse.GetValue(option) ?? _environment(variable);
        return string.IsNullOrEmpty(value) ? null : value;
    }

    private bool IsSet(string variable) => _environment(variable) is { Length: > 0 } value && value is not ("0" or "false");

    private static string? Existing(string? file, string option) =>
        file is null || File.Exists(file) ? file : throw new UsageException($"{option} {file}: there is no such file");
}
