using System.Collections.Immutable;
using System.Net.Http.Headers;

namespace Carillon.Client;

/// <summary>
/// Several puts and deletes that become visible at once. The document is the interface contract's <c>{"operations":[…]}</c>, whose
/// <c>file</c> values name the <see cref="Files"/>.
/// </summary>
/// <param name="Json">The document.</param>
/// <param name="Files">Part name and path of each file that the document names; opened anew for each server that is tried.</param>
public sealed record Changeset(ReadOnlyMemory<byte> Json, ImmutableArray<KeyValuePair<string, string>> Files)
{
    internal MultipartFormDataContent ToContent()
    {
        var content = new MultipartFormDataContent();
        try
        {
            var json = new ReadOnlyMemoryContent(Json);
            json.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            content.Add(json, "changeset");
            foreach ((string part, string path) in Files)
            {
                var stream = new FileStream(
                    path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
                var file = new StreamContent(stream, 256 << 10);
                file.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
                content.Add(file, part, part);
            }

            return content;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            content.Dispose();
            throw new CarillonException(Failure.Failed, fault.Message, fault);
        }
    }
}
