using System.Globalization;
using System.Text;

namespace Carillon.Client;

/// <summary>
/// A put of few bytes as it goes over the wire: the request's head as text, and the body. Only what needs no escaping, folding or
/// negotiation is put this way; <see cref="Of"/> says no to the rest, which takes the ordinary way.
/// </summary>
internal sealed class DirectRequest
{
    /// <summary>The largest body that is sent in one piece with its head.</summary>
    public const int MaxBodyBytes = 64 << 10;

    private DirectRequest(string head, ReadOnlyMemory<byte> body)
    {
        Head = head;
        Body = body;
    }

    /// <summary>Everything up to the empty line, but for the host and the token, which are the connection's.</summary>
    public string Head { get; }

    public ReadOnlyMemory<byte> Body { get; }

    /// <summary>The put as a direct request; null where it has to take the ordinary way.</summary>
    public static DirectRequest? Of(string path, string key, ReadOnlyMemory<byte> body, PutOptions options)
    {
        if (body.Length > MaxBodyBytes || !IsVisible(path) || !IsVisible(key))
        {
            return null;
        }

        var head = new StringBuilder(256)
            .Append("PUT ").Append(path).Append(" HTTP/1.1\r\nIdempotency-Key: ").Append(key)
            .Append("\r\nContent-Length: ").Append(CultureInfo.InvariantCulture, $"{body.Length}\r\n");
        bool good = Add(head, "Content-Type", options.ContentType)
            && Add(head, "Carillon-Ack", options.Ack)
            && Add(head, "If-Match", options.IfMatch is null ? null : $"\"{options.IfMatch}\"")
            && Add(head, FenceHeader.Name, FenceHeader.Of(options.Fence))
            && Add(head, "If-None-Match", options.IfNoneMatch ? "*" : null);
        foreach ((string name, string value) in options.Metadata)
        {
            good = good && IsToken(name) && Add(head, VersionHeaders.MetadataPrefix + name, Uri.EscapeDataString(value));
        }

        return good ? new DirectRequest(head.ToString(), body) : null;
    }

    private static bool Add(StringBuilder head, string name, string? value)
    {
        if (value is null)
        {
            return true;
        }

        head.Append(name).Append(": ").Append(value).Append("\r\n");
        return IsVisible(value);
    }

    // No line breaks, nor anything else that would let a value end its header.
    private static bool IsVisible(string value) => value.Length > 0 && !value.AsSpan().ContainsAnyExceptInRange(' ', '~');

    private static bool IsToken(string name) => name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}
