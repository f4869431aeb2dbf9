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
