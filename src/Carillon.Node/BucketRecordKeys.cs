namespace Carillon.Node;

/// <summary>Metadata keys of bucket records.</summary>
public static class BucketRecordKeys
{
    /// <summary>On a record that changes the settings of a bucket on purpose; one without it is a creation, and gives way to other
    /// settings.</summary>
    public const string Replace = "replace";
}
