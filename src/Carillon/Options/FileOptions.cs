namespace Carillon.Options;

/// <summary>Section <c>files</c>: where a server's files are. Paths are relative to the folder of the configuration file.</summary>
public sealed record FileOptions
{
    /// <summary>Folder of everything the server stores. One server's only; its first start writes the disk id into it.</summary>
    public string Data { get; init; } = "data";

    /// <summary>
    /// Folder of the server's certificate and key, the authority's certificate, the cluster's key and the tokens; mode 0600
    /// each.
    /// </summary>
    public string Secrets { get; init; } = ".";

    /// <summary>PEM file of the HTTP certificate; empty: HTTP without TLS.</summary>
    public string HttpCertificate { get; init; } = "";

    /// <summary>PEM file of the HTTP certificate's key.</summary>
    public string HttpKey { get; init; } = "";

    /// <summary>A .NET assembly whose services (classes with a HostedService attribute) this server hosts; empty for none.</summary>
    public string Services { get; init; } = "";

    /// <summary>File with the bearer token that those services show to this server, where it asks for one.</summary>
    public string ServicesToken { get; init; } = "";

    /// <summary>All faults, each in words.</summary>
    public IEnumerable<string> Validate()
    {
        if (Data.Length == 0)
        {
            yield return "files.data is missing";
        }

        if ((HttpCertificate.Length == 0) != (HttpKey.Length == 0))
        {
            yield return "files.httpCertificate and files.httpKey go together";
        }
    }
}
