using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;
using Carillon.Protocols;

namespace Carillon.Runtime.Security;

/// <summary>
/// Who a certificate speaks for: <c>carillon:CLUSTER:ROLE:NAME</c>, as a URI among its subject alternative names. Addresses play
/// no part: a server may move, and its name is what the protocols count.
/// </summary>
/// <param name="Cluster">The cluster.</param>
/// <param name="Role">What its holder may be; <see cref="Server"/>.</param>
/// <param name="Name">Its holder's name.</param>
public sealed record CertificateName(string Cluster, string Role, NodeId Name)
{
    /// <summary>The role of a server of the cluster.</summary>
    public const string Server = "server";

    /// <summary>The longest name of a cluster, in characters.</summary>
    public const int MaxClusterLength = 63;

    private const string Scheme = "carillon";

    /// <summary>1-63 characters of a-z, 0-9, '-' and '.', the first a letter or digit: fit for a URI, a path and a multicast group's
    /// seed.</summary>
    public static bool IsClusterName(string name) =>
        name.Length is > 0 and <= MaxClusterLength && char.IsAsciiLetterOrDigit(name[0])
        && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.');

    /// <inheritdoc/>
    public override string ToString() => $"{Scheme}:{Cluster}:{Role}:{Name}";

    /// <summary>Reads the text form, or says no.</summary>
    public static CertificateName? Parse(string text)
    {
        string[] parts = text.Split(':');
        return parts is [Scheme, var cluster, { Length: > 0 } role, var name] && IsClusterName(cluster)
            && NodeId.TryParse(name, out NodeId id)
            ? new CertificateName(cluster, role, id)
            : null;
    }

    /// <summary>The one name of ours in a certificate; null where there is none, or more than one.</summary>
    public static CertificateName? Of(X509Certificate2 certificate)
    {
        CertificateName? found = null;
        foreach (string uri in Uris(certificate))
        {
            if (uri.StartsWith(Scheme + ":", StringComparison.Ordinal))
            {
                if (found is not null || Parse(uri) is not { } name)
                {
                    return null;
                }

                found = name;
            }
        }

        return found;
    }

    // RFC 5280, 4.2.1.6: GeneralNames, of which [6] is a URI in ASCII. The framework reads only DNS names and addresses.
    private static List<string> Uris(X509Certificate2 certificate)
    {
        List<string> uris = [];
        foreach (X509Extension extension in certificate.Extensions)
        {
            if (extension is not X509SubjectAlternativeNameExtension)
            {
                continue;
            }

            try
            {
                AsnReader names = new AsnReader(extension.RawData, AsnEncodingRules.DER).ReadSequence();
                Asn1Tag uri = new(TagClass.ContextSpecific, 6);
                while (names.HasData)
                {
                    if (names.PeekTag().HasSameClassAndValue(uri))
                    {
                        uris.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, uri));
                    }
                    else
                    {
                        names.ReadEncodedValue();
                    }
                }
            }
            catch (AsnContentException)
            {
                return []; // malformed: a certificate without a name, which its reader refuses
            }
        }

        return uris;
    }
}
