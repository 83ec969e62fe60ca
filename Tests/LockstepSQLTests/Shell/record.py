#!/usr/bin/env python3
# Writes statements.txt: statements, and what the sqlite3 shell (Debian package sqlite3, 3.40) answers to each.
import os, random, re, subprocess
r = random.Random(13)
s = []
a = s.append
a("CREATE TABLE t1(a INTEGER, b INTEGER, c INTEGER, d INTEGER, e INTEGER)")
for i in range(30):
    v = list(range(100 + 5 * i, 105 + 5 * i)); r.shuffle(v)
    a("INSERT INTO t1(e,c,b,d,a) VALUES(%d,%d,%d,%d,%d)" % tuple(v))
ex = ["a", "b", "c", "d", "e", "a+b*2", "abs(b-c)", "(a+b+c+d+e)/5", "a-b", "c-d", "CASE WHEN c>(SELECT avg(c) FROM t1) THEN a*2 ELSE b*10 END",
      "CASE a+1 WHEN b THEN 111 WHEN c THEN 222 ELSE 333 END", "(SELECT count(*) FROM t1 AS x WHERE x.b<t1.b)", "a+b*2+c*3+d*4+e*5",
      "coalesce(nullif(a, b), 0)", "CAST(a AS TEXT) || 'x'", "a / 7.0", "typeof(a)", "a % 7", "a & 12", "a << 2", "max(a, b, c)", "hex(a)", "printf('%05d|%-6s|%.3f', a, b, c / 3.0)"]
cond = ["a>b", "(e>a AND e<b)", "(c<=d-2 OR c>=d+2)", "d NOT BETWEEN 110 AND 150", "EXISTS(SELECT 1 FROM t1 AS x WHERE x.b<t1.b)", "b IN (101, 117, 130, 142, 230)",
        "a IS NOT NULL", "c LIKE '1_5'", "e GLOB '1[0-3]*'", "NOT (d < 150)", "a BETWEEN 120 AND 180"]
for i in range(110):
    cols = r.sample(ex, r.randint(1, 4))
    q = "SELECT " + ", ".join(cols) + " FROM t1"
    if r.random() < .7: q += " WHERE " + (r.choice([" AND ", " OR "])).join(r.sample(cond, r.randint(1, 2)))
    q += " ORDER BY " + ",".join(str(x + 1) for x in range(len(cols)))
    if r.random() < .3: q += " LIMIT %d OFFSET %d" % (r.randint(1, 9), r.randint(0, 4))
    a(q)
for f in ["count(*)", "sum(a)", "avg(b)", "min(c), max(d)", "total(e)", "group_concat(a, ';')", "count(DISTINCT a % 5)", "sum(a) FILTER (WHERE b > 120)"]:
    a("SELECT a %% 4, %s FROM (SELECT * FROM t1 ORDER BY a) GROUP BY a %% 4 ORDER BY 1" % f)
    a("SELECT %s FROM (SELECT * FROM t1 ORDER BY a) WHERE b > 1000" % f)
for w in ["row_number() OVER (ORDER BY a)", "rank() OVER (ORDER BY a % 5)", "sum(a) OVER (ORDER BY a ROWS 2 PRECEDING)", "lag(b, 1, -1) OVER (ORDER BY a)", "ntile(4) OVER (ORDER BY a)", "first_value(c) OVER (PARTITION BY a % 3 ORDER BY a)"]:
    a("SELECT a, %s FROM t1 ORDER BY a" % w)
a("CREATE TABLE items(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, price REAL CHECK(price >= 0), tag BLOB, at TEXT DEFAULT 'never')")
a("CREATE TABLE orders(item REFERENCES items(id), n INTEGER DEFAULT 1, PRIMARY KEY(item, n)) WITHOUT ROWID")
a("CREATE INDEX by_price ON items(price DESC)")
a("CREATE UNIQUE INDEX by_tag ON items(tag) WHERE tag IS NOT NULL")
a("CREATE VIEW dear AS SELECT name, price * 1.19 AS gross FROM items WHERE price > 5")
a("CREATE TABLE log(what, id)")
a("CREATE TRIGGER items_in AFTER INSERT ON items BEGIN INSERT INTO log VALUES('in', new.id); END")
a("CREATE TRIGGER items_out AFTER DELETE ON items BEGIN INSERT INTO log VALUES('out', old.id); DELETE FROM orders WHERE item = old.id; END")
names = ["apple", "pear", "plum", "fig", "quince", "M\u00f6hre", "it''s", "", "apple", "nut"]
for i, n in enumerate(names):
    a("INSERT INTO items(name, price) VALUES('%s', %s)" % (n, [1, 2.5, "NULL", 1e10, -1, 0.1, 7.25, 100, 5, "'x'"][i]))
    a("SELECT id, name, price, typeof(price) FROM items ORDER BY id")
for i in range(12):
    a("INSERT OR IGNORE INTO orders VALUES(%d, %d)" % (r.randint(1, 5), r.randint(1, 3)))
    a("SELECT item, sum(n), count(*) FROM orders GROUP BY item ORDER BY item")
a("INSERT INTO orders VALUES(1, 1)"); a("INSERT INTO orders VALUES(1, 1)")
a("SELECT * FROM dear ORDER BY name")
a("UPDATE items SET price = price * 2 WHERE price < 10"); a("SELECT name, price FROM items ORDER BY id")
a("UPDATE items SET price = -price")
a("DELETE FROM items WHERE name = 'pear'"); a("SELECT * FROM log ORDER BY rowid")
a("INSERT INTO items(name, price) VALUES('pear', 3) ON CONFLICT(name) DO UPDATE SET price = excluded.price RETURNING id, name, price")
a("INSERT INTO items(name, price) VALUES('pear', 4) ON CONFLICT(name) DO UPDATE SET price = excluded.price RETURNING id, name, price")
a("REPLACE INTO items(id, name, price, tag) VALUES(1, 'apple', 9, x'00ff10') RETURNING hex(tag)")
a("SELECT seq FROM sqlite_sequence WHERE name = 'items'")
a("DELETE FROM items WHERE price > 1000 RETURNING name")
for sql in ["SELECT i.name, o.n FROM items i JOIN orders o ON o.item = i.id ORDER BY 1, 2", "SELECT i.name, o.n FROM items i LEFT JOIN orders o ON o.item = i.id ORDER BY 1, 2",
            "SELECT name FROM items UNION SELECT what FROM log ORDER BY 1", "SELECT name FROM items EXCEPT SELECT 'fig' ORDER BY 1", "SELECT name FROM items INTERSECT SELECT 'fig' ORDER BY 1",
            "WITH RECURSIVE f(n, a, b) AS (SELECT 1, 0, 1 UNION ALL SELECT n + 1, b, a + b FROM f WHERE n < 40) SELECT n, a FROM f ORDER BY n",
            "SELECT NULL, 1 = NULL, NULL IS NULL, NULL OR 1, NULL AND 0", "SELECT 1e300 * 1e10, -1e300 * 1e10, 1 / 0, 5 / 2, -5 / 2, 5 % 3, 5.0 / 2", "SELECT 9223372036854775807 + 1, -9223372036854775808, 9223372036854775807",
            "SELECT 0.1 + 0.2, 1e15, 1e16, 123456789012345678, 1.5e-7, 100.0, 1e100", "SELECT round(2.5), round(-2.567, 2), trunc(2.7), ceil(2.1), floor(-2.1), sqrt(2), sign(-3)",
            "SELECT upper('abc'), lower('ABC'), length('M\u00f6hre'), substr('hello', 2, 3), substr('hello', -3), instr('hello', 'l'), replace('hello', 'l', 'L'), trim('  x '), ltrim('xxa', 'x')",
            "SELECT json_extract('{\"a\":[1,2,{\"b\":null}]}', '$.a[1]'), json_array(1, 'x', NULL), json_object('k', 2.5), json_type('[1]')", "SELECT value, type FROM json_each('[1,\"a\",null,2.5]') ORDER BY key",
            "SELECT date('2024-02-29', '+1 year'), time('12:34:56', '-90 minutes'), datetime(0, 'unixepoch'), strftime('%Y-%W-%j', '2024-12-31'), julianday('2000-01-01')",
            "SELECT typeof(1), typeof(1.0), typeof('1'), typeof(x'31'), typeof(NULL)", "SELECT CAST('12abc' AS INTEGER), CAST('1e2' AS REAL), CAST(3.99 AS INTEGER), CAST(x'414243' AS TEXT)",
            "SELECT 'a' < 'B', 'a' < 'B' COLLATE NOCASE, 'a ' = 'a' COLLATE RTRIM", "SELECT quote('it''s'), quote(x'00ff'), quote(NULL), quote(1.5)", "SELECT hex('abc'), unicode('\u00e9'), char(72, 105)",
            "VALUES (1, 'x'), (2, 'y')", "SELECT count(*) FROM missing", "SELECT missing FROM t1", "SELECT a FROM t1 GROUP", "INSERT INTO t1 VALUES(1)", "INSERT INTO items(name) VALUES(NULL)", "CREATE TABLE t1(x)", "DROP TABLE nothing",
            "DROP TABLE IF EXISTS nothing", "ALTER TABLE items ADD COLUMN stock INTEGER DEFAULT 3", "SELECT name, stock FROM items ORDER BY id", "ALTER TABLE items RENAME COLUMN at TO since", "SELECT since FROM items WHERE id = 1",
            "ALTER TABLE log RENAME TO journal", "SELECT count(*) FROM journal", "DROP TRIGGER items_in", "INSERT INTO items(name) VALUES('last')", "SELECT count(*) FROM journal", "DROP VIEW dear", "SELECT * FROM dear",
            "CREATE TABLE copy AS SELECT name, price FROM items ORDER BY name", "SELECT * FROM copy ORDER BY rowid", "UPDATE copy SET price = i.price + 1 FROM items i WHERE i.name = copy.name", "SELECT * FROM copy ORDER BY rowid",
            "DELETE FROM copy", "SELECT count(*), max(price) FROM copy", "CREATE TABLE gen(a INTEGER, b AS (a * 2), c AS (a || '!') STORED)", "INSERT INTO gen(a) VALUES(1), (2)", "SELECT * FROM gen ORDER BY a",
            "CREATE TABLE strict1(a INTEGER, b TEXT) STRICT", "INSERT INTO strict1 VALUES('x', 1)", "INSERT INTO strict1 VALUES('5', 1)", "SELECT typeof(a), typeof(b) FROM strict1", "SELECT name, type FROM sqlite_schema WHERE name LIKE 'i%' ORDER BY name"]:
    a(sql)
for i in range(40):
    a("UPDATE t1 SET %s = %s WHERE %s" % (r.choice("abcde"), r.choice(["a + 1", "b - 3", "c", "NULL", "42"]), r.choice(cond)))
    if i % 4 == 3: a("SELECT * FROM t1 ORDER BY a, b, c, d, e")
a("DELETE FROM t1 WHERE a % 2 = 0 OR a IS NULL"); a("SELECT count(*), sum(b) FROM t1")
d = os.path.dirname(os.path.abspath(__file__)) + "/"
script = ""
out = []
for k, q in enumerate(s):
    script += ".print @%d\n%s;\n" % (k, q)
p = subprocess.run(["sqlite3", "-batch", ":memory:"], input=script.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
text = p.stdout.decode()
# Errors: the statement is known by its marker; the wording behind the line number is SQLite's.
parts = re.split(r"(?m)^@(\d+)\n", text)
got = {int(parts[i]): parts[i + 1] for i in range(1, len(parts), 2)}
with open(d + "statements.txt", "w") as f:
    for k, q in enumerate(s):
        answer = got.get(k, "")
        m = re.search(r"(?:Parse|Runtime) error near line \d+: (.*)", answer)
        if m:
            f.write("> %s\n! %s\n\n" % (q, re.sub(r" \(\d+\)$", "", m.group(1))))
        else:
            f.write("> %s\n%s\n" % (q, answer))
print(len(s))
