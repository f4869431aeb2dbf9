namespace Carillon.Storage;

/// <summary>Free space, for those whom it tells only whether to try.</summary>
public static class DeviceSpace
{
    /// <summary>Free bytes; 0 where the device can't tell, which is as good as full until it can.</summary>
    public static long FreeBytesOrNone(this IStorageDevice device)
    {
        try
        {
            return device.FreeBytes;
        }
        catch (StorageException)
        {
            return 0;
        }
    }
}
