using System.Collections.Immutable;
using Carillon.Protocols.Primacy;

namespace Carillon.Client;

/// <summary>What goes with a put.</summary>
public sealed record PutOptions
{
    /// <summary>The idempotency key; null: one is made. The same put under the same key gives the same version, at any server.</summary>
    public string? Key { get; init; }

    /// <summary>Put only if this is the current version's UID.</summary>
    public string? IfMatch { get; init; }

    /// <summary>Put only if there is no current version.</summary>
    public bool IfNoneMatch { get; init; }

    /// <summary><c>agreed</c> or <c>sequenced</c>: what to wait for; null: the bucket's way.</summary>
    public string? Ack { get; init; }

    /// <summary>Media type, or null.</summary>
    public string? ContentType { get; init; }

    /// <summary>Keys (made of a-z 0-9 - _ .) and values to keep with the version, 8 KiB in all.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Metadata { get; init; } = [];

    /// <summary>
    /// The service and the epoch in which this is put: refused ("fenced") once a newer epoch of the service was granted. None: no fence.
    /// </summary>
    public Fence Fence { get; init; }

    /// <summary>Is told how the upload goes; begins anew with each server that is tried.</summary>
    public ITransferObserver? Observer { get; init; }

    /// <summary>
    /// Hash what is sent and compare it with what the server stored. Costs one SHA-256 of the content; off only for load that
    /// measures the servers.
    /// </summary>
    public bool Verify { get; init; } = true;
}
