using System.Buffers;
using System.Text;

namespace Carillon.Gateway.Routing;

/// <summary>
/// Percent-encoding (RFC 3986 section 2.1) of UTF-8 text, decoded exactly once and strictly. Names are taken from the raw request
/// target by this, so that what a framework would have resolved or left alone (%2F, dot segments, broken bytes) meets the name rules.
/// </summary>
internal static class PercentCoding
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>
    /// Decodes; <paramref name="plusIsSpace"/> as forms do it in a query. False with the reason where the text is not right.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<char> encoded, bool plusIsSpace, out string text, out string fault)
    {
        fault = "";
        int special = plusIsSpace ? encoded.IndexOfAny('%', '+') : encoded.IndexOf('%');
        if (special < 0 && Ascii.IsValid(encoded))
        {
            text = encoded.ToString();
            return true;
        }

        byte[] rented = ArrayPool<byte>.Shared.Rent(encoded.Length);
        try
        {
            return TryDecode(encoded, plusIsSpace, rented, out text, out fault);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <summary>
    /// Everything but unreserved characters encoded, so that the result is fit for a header; a text that needs none is returned as it is.
    /// </summary>
    public static string Encode(string text) => Uri.EscapeDataString(text);

    private static bool TryDecode(ReadOnlySpan<char> encoded, bool plusIsSpace, byte[] bytes, out string text, out string fault)
    {
        text = "";
        fault = "";
        int count = 0;
        for (int i = 0; i < encoded.Length; i++)
        {
            char c = encoded[i];
            if (c == '%')
            {
                if (i + 2 >= encoded.Length || !char.IsAsciiHexDigit(encoded[i + 1]) || !char.IsAsciiHexDigit(encoded[i + 2]))
                {
                    fault = "a '%' is not followed by two hexadecimal digits";
                    return false;
                }

                bytes[count++] = (byte)((HexValue(encoded[i + 1]) << 4) | HexValue(encoded[i + 2]));
                i += 2;
            }
            else if (c > 0x7F)
            {
                fault = "a byte outside ASCII is not percent-encoded";
                return false;
            }
            else
            {
                bytes[count++] = c == '+' && plusIsSpace ? (byte)' ' : (byte)c;
            }
        }

        try
        {
            text = StrictUtf8.GetString(bytes, 0, count);
            return true;
        }
        catch (DecoderFallbackException)
        {
            fault = "the percent-encoded bytes are not UTF-8";
            return false;
        }
    }

    private static int HexValue(char c) => c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}
