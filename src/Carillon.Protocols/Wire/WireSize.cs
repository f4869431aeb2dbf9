using System.Text;

namespace Carillon.Protocols.Wire;

/// <summary>Sizes in bytes of the fields that <see cref="WireWriter"/> writes with a length of their own.</summary>
public static class WireSize
{
    public static int Text(string value) => 2 + Encoding.UTF8.GetByteCount(value);

    public static int Blob(int length) => 4 + length;

    public static int Node(NodeId node) => 1 + node.Name.Length;

    public static int Uid(Uid uid) => 8 + Node(uid.Server);

    public static int Tag(Tag tag) => 8 + Uid(tag.Uid);
}
