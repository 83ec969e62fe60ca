/* What a row was and becomes: in the library where it was built with SQLITE_ENABLE_PREUPDATE_HOOK, as Debian's is, and in
 * its header only for programs that say so before they include it, which GRDB's module does not. */
#ifndef LOCKSTEP_SQLITE_HOOKS_H
#define LOCKSTEP_SQLITE_HOOKS_H
#include <sqlite3.h>

#ifndef SQLITE_ENABLE_PREUPDATE_HOOK
SQLITE_API void *sqlite3_preupdate_hook(
  sqlite3 *db,
  void (*change)(void *context, sqlite3 *db, int operation, char const *database, char const *table,
                 sqlite3_int64 old_rowid, sqlite3_int64 new_rowid),
  void *context);
SQLITE_API int sqlite3_preupdate_old(sqlite3 *db, int column, sqlite3_value **value);
SQLITE_API int sqlite3_preupdate_new(sqlite3 *db, int column, sqlite3_value **value);
SQLITE_API int sqlite3_preupdate_count(sqlite3 *db);
#endif

#endif
