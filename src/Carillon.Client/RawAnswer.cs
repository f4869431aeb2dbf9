namespace Carillon.Client;

/// <summary>An answer to a write, whole: status, media type and body.</summary>
internal readonly record struct RawAnswer(int Status, string MediaType, ReadOnlyMemory<byte> Body)
{
    public bool IsSuccess => Status is >= 200 and < 300;
}
