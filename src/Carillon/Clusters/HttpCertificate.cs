using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Carillon.Runtime.Security;

namespace Carillon.Clusters;

/// <summary>
/// A certificate for clients' eyes: the server's host, signed by the cluster's authority, so that <c>--ca-file authority.pem</c>
/// is all that a client needs. Apart from the tunnel's certificate, which names the server and no host, and is never shown to clients.
/// </summary>
internal static class HttpCertificate
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(365 * 5);

    /// <summary>Writes certificate and key for a host.</summary>
    public static void Write(string authorityFolder, string host, string certificateFile, string keyFile, DateTimeOffset now)
    {
        using X509Certificate2 authority = X509Certificate2.CreateFromPemFile(
            Path.Combine(authorityFolder, ClusterAuthority.CertificateFile), Path.Combine(authorityFolder, ClusterAuthority.KeyFile));
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        if (IPAddress.TryParse(host, out IPAddress? address))
        {
            names.AddIpAddress(address);
        }
        else
        {
            names.AddDnsName(host);
        }

        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(
            new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false));
        DateTimeOffset from = new(authority.NotBefore);
        DateTimeOffset until = now + Lifetime;
        DateTimeOffset last = new(authority.NotAfter);
        using X509Certificate2 signed = request.Create(authority, from, until < last ? until : last, RandomNumberGenerator.GetBytes(16));
        SecretFile.Write(certificateFile, signed.ExportCertificatePem() + "\n");
        SecretFile.Write(keyFile, key.ExportPkcs8PrivateKeyPem() + "\n");
    }
}
