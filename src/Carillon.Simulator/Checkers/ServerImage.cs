using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Checkers;

/// <summary>What one server's catalog says when all is quiet.</summary>
/// <param name="Server">The server.</param>
/// <param name="Digest">Its catalog's digest: the tags of kept versions, and rejected ones.</param>
/// <param name="Versions">All kept versions and tombstones of the common bucket, in order of the names, the newest of a name first.</param>
/// <param name="Raced">The same of the bucket that is created and removed.</param>
/// <param name="RacedExists">Whether that bucket exists.</param>
internal sealed record ServerImage(
    NodeId Server, MergeDigest Digest, ImmutableArray<ListedVersion> Versions, ImmutableArray<ListedVersion> Raced, bool RacedExists);
