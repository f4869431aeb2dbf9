using System.Security.Cryptography;

namespace Carillon.Client;

/// <summary>Where a download's bytes go.</summary>
internal abstract class DownloadTarget
{
    /// <summary>UID of the version whose first bytes are here from a former run, or null.</summary>
    public virtual string? PresentUid => null;

    /// <summary>How many they are.</summary>
    public virtual long PresentBytes => 0;

    /// <summary>True if the bytes can be thrown away to begin anew.</summary>
    public virtual bool CanRestart => false;

    /// <summary>Feeds the present bytes to a hash.</summary>
    public virtual ValueTask HashPresentAsync(IncrementalHash hash, CancellationToken cancellation) => ValueTask.CompletedTask;

    /// <summary>Throws the present bytes away.</summary>
    public virtual void Restart() => throw new InvalidOperationException("this target can't begin anew");

    /// <summary>It is known now which version comes.</summary>
    public virtual void Begin(ObjectStat version)
    {
    }

    /// <summary>Takes the next bytes.</summary>
    public abstract ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation);

    /// <summary>All bytes are here and verified.</summary>
    public abstract ValueTask CommitAsync(ObjectStat version, CancellationToken cancellation);
}

/// <summary>A stream, such as standard output: what was written can't be taken back.</summary>
internal sealed class StreamTarget(Stream stream) : DownloadTarget
{
    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> bytes, CancellationToken cancellation) => stream.WriteAsync(bytes, cancellation);

    public override async ValueTask CommitAsync(
        ObjectStat version, CancellationToken cancellation) => await stream.FlushAsync(cancellation);
}
