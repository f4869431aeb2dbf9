namespace Carillon.Storage.Catalogs;

/// <summary>Several reads of one connection in one snapshot, until it is disposed of; nothing where there is no connection of one's
/// own.</summary>
internal readonly ref struct ReadTransaction
{
    private readonly SqliteDatabase? _database;

    public ReadTransaction(SqliteDatabase? database)
    {
        _database = database;
        database?.Execute("BEGIN");
    }

    public void Dispose() => _database?.Execute("COMMIT");
}
