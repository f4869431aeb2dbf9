using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Simulator.Checkers;

/// <summary>C6: what is read is whole, and what its manifest says.</summary>
internal static class ContentChecker
{
    /// <summary>Compares bytes that a server served with the manifest under which it did.</summary>
    public static void Check(NodeId server, ObjectName name, ObjectManifest manifest, ReadOnlySpan<byte> content)
    {
        if (content.Length != manifest.Size || Digest.Of(content) != manifest.Sha256)
        {
            throw Violation.Of("C6", $"{server} serves {name}, and its bytes are not what the manifest says");
        }
    }
}
