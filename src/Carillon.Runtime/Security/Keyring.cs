using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Carillon.Protocols;

namespace Carillon.Runtime.Security;

/// <summary>
/// What one server needs to prove who it is and to judge others: its certificate and key, the cluster authority's certificate,
/// and the cluster's keys. Safe for any thread.
/// </summary>
public sealed class Keyring : IDisposable
{
    /// <summary>File of the server's certificate.</summary>
    public const string CertificateFile = "server.pem";

    /// <summary>File of the server's private key.</summary>
    public const string KeyFile = "server.key";

    /// <summary>File of the cluster's keys.</summary>
    public const string ClusterKeyFile = "cluster.key";

    private readonly CertificateName _name;

    /// <summary>Puts a keyring together; it owns the certificate from now on.</summary>
    /// <param name="authority">The authority's certificate.</param>
    /// <param name="certificate">This server's certificate with its key.</param>
    /// <param name="keys">The cluster's keys.</param>
    /// <exception cref="SecurityFileException">The certificate names no server, or is not that authority's.</exception>
    public Keyring(X509Certificate2 authority, X509Certificate2 certificate, ClusterKeys keys)
    {
        Authority = authority;
        Certificate = certificate;
        Keys = keys;
        _name = CertificateName.Of(certificate) ?? throw new SecurityFileException(
            "This server's certificate names no server of a Carillon cluster.");
        if (_name.Role != CertificateName.Server)
        {
            throw new SecurityFileException($"This server's certificate is one of a {_name.Role}, not of a server.");
        }

        // Only the signature counts here: an expired certificate must not keep a server from serving its own disk.
        if (ChainFault(certificate, X509VerificationFlags.IgnoreNotTimeValid) is { } fault)
        {
            throw new SecurityFileException($"This server's certificate is not good: {fault}.");
        }
    }

    /// <summary>The cluster that the certificate names.</summary>
    public string Cluster => _name.Cluster;

    /// <summary>The server that the certificate names.</summary>
    public NodeId Name => _name.Name;

    /// <summary>The authority's certificate: the only root there is.</summary>
    public X509Certificate2 Authority { get; }

    /// <summary>This server's certificate, with its key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>The cluster's keys.</summary>
    public ClusterKeys Keys { get; }

    /// <summary>Makes a keyring for a server.</summary>
    public static Keyring Create(ClusterAuthority authority, NodeId server, ClusterKeys keys, DateTimeOffset now) =>
        new(authority.Certificate, authority.Issue(server, now), keys);

    /// <summary>Writes all parts into a directory, mode 0600.</summary>
    public void Save(string directory)
    {
        using ECDsa key = Certificate.GetECDsaPrivateKey()!;
        SecretFile.Write(Path.Combine(directory, ClusterAuthority.CertificateFile), Authority.ExportCertificatePem() + "\n");
        SecretFile.Write(Path.Combine(directory, CertificateFile), Certificate.ExportCertificatePem() + "\n");
        SecretFile.Write(Path.Combine(directory, KeyFile), key.ExportPkcs8PrivateKeyPem() + "\n");
        SecretFile.Write(Path.Combine(directory, ClusterKeyFile), Keys.ToText());
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="SecurityFileException">A file is missing, open to others, or not what it should be.</exception>
    public static Keyring Load(string directory)
    {
        string keyFile = Path.Combine(directory, ClusterKeyFile);
        ClusterKeys keys = ClusterKeys.Parse(SecretFile.Read(keyFile))
            ?? throw new SecurityFileException($"{keyFile} is damaged: each line is a number and 64 hexadecimal digits.");
        return new Keyring(
            CertificateFiles.LoadPublic(Path.Combine(directory, ClusterAuthority.CertificateFile)),
            CertificateFiles.Load(Path.Combine(directory, CertificateFile), Path.Combine(directory, KeyFile)),
            keys);
    }

    /// <summary>Judges a peer's certificate: signed by this cluster's authority, in its time, of a server of this cluster.</summary>
    /// <param name="certificate">What the peer showed, or null.</param>
    /// <param name="expected">Whom it has to be; null to take any server.</param>
    /// <param name="peer">The name in it, if there is no fault.</param>
    /// <returns>Why it is refused, in a few words; null if it is good.</returns>
    public string? FaultOf(X509Certificate2? certificate, NodeId? expected, out NodeId peer)
    {
        peer = default;
        if (certificate is null)
        {
            return "it showed no certificate";
        }

        if (ChainFault(certificate, X509VerificationFlags.NoFlag) is { } fault)
        {
            return fault;
        }

        if (CertificateName.Of(certificate) is not { } name)
        {
            return "its certificate names no server";
        }

        if (name.Cluster != Cluster)
        {
            return $"its certificate is for cluster '{name.Cluster}', this is '{Cluster}'";
        }

        if (name.Role != CertificateName.Server)
        {
            return $"its certificate is for the role '{name.Role}', not a server";
        }

        if (expected is { } one && name.Name != one)
        {
            return $"its certificate is for server '{name.Name}', expected '{one}'";
        }

        peer = name.Name;
        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Certificate.Dispose();
        Authority.Dispose();
    }

    private string? ChainFault(X509Certificate2 certificate, X509VerificationFlags tolerance)
    {
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(Authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationFlags = tolerance;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClusterAuthority.ServerAuthentication));
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClusterAuthority.ClientAuthentication));
        if (chain.Build(certificate))
        {
            return null;
        }

        X509ChainStatusFlags status = chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, one) => all | one.Status);
        if ((status & (X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.NotSignatureValid))
            != X509ChainStatusFlags.NoError)
        {
            return "its certificate is not signed by this cluster's authority";
        }

        return (status & X509ChainStatusFlags.NotTimeValid) != X509ChainStatusFlags.NoError
            ? FormattableString.Invariant($"its certificate is valid from {certificate.NotBefore:u} to {certificate.NotAfter:u} only")
            : $"its certificate is not good ({status})";
    }
}
