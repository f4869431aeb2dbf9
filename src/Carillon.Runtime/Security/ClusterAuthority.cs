using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Carillon.Protocols;

namespace Carillon.Runtime.Security;

/// <summary>
/// A cluster's own certificate authority (ECDSA P-256), and nobody else's: it signs one certificate per server, and servers
/// trust it alone. Its key is used by <c>cluster init</c> and by adding a server, never by a running server, so it belongs into
/// a safe place and not onto the servers.
/// </summary>
public sealed class ClusterAuthority : IDisposable
{
    /// <summary>File of the authority's certificate.</summary>
    public const string CertificateFile = "authority.pem";

    /// <summary>File of the authority's private key.</summary>
    public const string KeyFile = "authority.key";

    // Nothing renews certificates by itself, and a cluster that stops on a birthday is worse than a long-lived certificate
    // which is only good inside that cluster: taking a server out is done by the configuration, not by expiry.
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(365 * 20);

    // Valid from a day ago: a server with a slow clock can still be talked to (the clock guard then judges its clock).
    private static readonly TimeSpan Backdated = TimeSpan.FromDays(1);

    private readonly X509Certificate2 _certificate;

    private ClusterAuthority(string cluster, X509Certificate2 certificate)
    {
        Cluster = cluster;
        _certificate = certificate;
    }

    /// <summary>The cluster whose servers it vouches for.</summary>
    public string Cluster { get; }

    /// <summary>Its certificate, without the key.</summary>
    public X509Certificate2 Certificate => X509CertificateLoader.LoadCertificate(_certificate.RawData);

    private DateTimeOffset NotAfter => new(_certificate.NotAfter);

    /// <summary>Makes a new authority.</summary>
    /// <exception cref="ArgumentException">Not a cluster's name.</exception>
    public static ClusterAuthority Create(string cluster, DateTimeOffset now)
    {
        if (!CertificateName.IsClusterName(cluster))
        {
            throw new ArgumentException(
                $"'{cluster}' is not a cluster name: use 1-{CertificateName.MaxClusterLength} of a-z 0-9 - .", nameof(cluster));
        }

        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN=Carillon authority of {cluster}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(
            new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, 0, critical: true));
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return new ClusterAuthority(cluster, request.CreateSelfSigned(now - Backdated, now + Lifetime));
    }

    /// <summary>Signs a certificate for a server, with a key of its own.</summary>
    public X509Certificate2 Issue(NodeId server, DateTimeOffset now) =>
        Issue(new CertificateName(Cluster, CertificateName.Server, server), now - Backdated, Earlier(now + Lifetime, NotAfter));

    /// <summary>Signs a certificate with any name and time, as tests of refusals need.</summary>
    internal X509Certificate2 Issue(CertificateName name, DateTimeOffset from, DateTimeOffset until)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={name.Name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(
            new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(
            new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication), new Oid(ClientAuthentication)], critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(
            _certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        SubjectAlternativeNameBuilder names = new();
        names.AddUri(new Uri(name.ToString()));
        request.CertificateExtensions.Add(names.Build());

        DateTimeOffset earliest = new(_certificate.NotBefore);
        DateTimeOffset notBefore = from < earliest ? earliest : from;
        using X509Certificate2 signed = request.Create(_certificate, notBefore, until, RandomNumberGenerator.GetBytes(16));
        return signed.CopyWithPrivateKey(key);
    }

    internal const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    internal const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>Writes certificate and key into a directory, mode 0600.</summary>
    public void Save(string directory)
    {
        using ECDsa key = _certificate.GetECDsaPrivateKey()!;
        SecretFile.Write(Path.Combine(directory, CertificateFile), _certificate.ExportCertificatePem() + "\n");
        SecretFile.Write(Path.Combine(directory, KeyFile), key.ExportPkcs8PrivateKeyPem() + "\n");
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="SecurityFileException">Missing, open to others, or not what it should be.</exception>
    public static ClusterAuthority Load(string directory, string cluster) =>
        new(cluster, CertificateFiles.Load(Path.Combine(directory, CertificateFile), Path.Combine(directory, KeyFile)));

    /// <inheritdoc/>
    public void Dispose() => _certificate.Dispose();

    private static DateTimeOffset Earlier(DateTimeOffset a, DateTimeOffset b) => a < b ? a : b;
}

/// <summary>Certificates with their keys, from PEM files.</summary>
internal static class CertificateFiles
{
    public static X509Certificate2 Load(string certificateFile, string keyFile)
    {
        string certificate = SecretFile.Read(certificateFile);
        string key = SecretFile.Read(keyFile);
        try
        {
            return X509Certificate2.CreateFromPem(certificate, key);
        }
        catch (Exception failure) when (failure is CryptographicException or ArgumentException)
        {
            throw new SecurityFileException(
                $"{certificateFile} and {keyFile} are not a certificate and its key in PEM form: {failure.Message}", failure);
        }
    }

    public static X509Certificate2 LoadPublic(string file)
    {
        try
        {
            return X509Certificate2.CreateFromPem(SecretFile.Read(file));
        }
        catch (CryptographicException failure)
        {
            throw new SecurityFileException($"{file} is not a certificate in PEM form: {failure.Message}", failure);
        }
    }
}
