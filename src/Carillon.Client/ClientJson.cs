using System.Text.Json;
using System.Text.Json.Serialization;

namespace Carillon.Client;

/// <summary>The library's JSON, generated at build time: no reflection at a command's start, no document tree per request.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(DeleteAnswer))]
[JsonSerializable(typeof(ChangesetAnswer))]
[JsonSerializable(typeof(BucketSettings))]
[JsonSerializable(typeof(BucketList))]
[JsonSerializable(typeof(ObjectPage))]
[JsonSerializable(typeof(SubmissionStatus))]
[JsonSerializable(typeof(ClusterStatus))]
internal sealed partial class ClientJson : JsonSerializerContext;
