using System.Text.Json;
using System.Text.Json.Serialization;
using Carillon.Client.Groups;
using Carillon.Client.Services;

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
[JsonSerializable(typeof(GroupList))]
[JsonSerializable(typeof(GroupInfo))]
[JsonSerializable(typeof(NewGroup))]
[JsonSerializable(typeof(GroupChange))]
[JsonSerializable(typeof(ServiceList))]
[JsonSerializable(typeof(ServiceInfo))]
[JsonSerializable(typeof(ServiceSettings))]
[JsonSerializable(typeof(ServiceAnswer))]
[JsonSerializable(typeof(ServicePrimary))]
[JsonSerializable(typeof(ServiceTarget))]
[JsonSerializable(typeof(LeaseAnswer))]
[JsonSerializable(typeof(SessionHello))]
[JsonSerializable(typeof(SessionOrder))]
[JsonSerializable(typeof(SessionNews))]
internal sealed partial class ClientJson : JsonSerializerContext;
