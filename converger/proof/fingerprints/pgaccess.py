"""Queries for who may do what: owners, privileges, default privileges; for comments; and for the whole server.

Every query gives rows (kind, object, text).
"""

# ruff: noqa: S608 - SQL is put together from our own text only

from __future__ import annotations

from converger.proof.fingerprints.pgsql import (
    CONSTRAINT_KIND,
    OWN_TYPE,
    RELATION_KIND,
    ROUTINE_KIND,
    TYPE_KIND,
    kept,
    lasting,
    role,
    words,
)


def _privileges(acl: str, owner: str) -> str:
    """Privileges as text, independent of the order in which they were granted; NULL where there are none."""
    return f"""(SELECT string_agg(g.text, '; ' ORDER BY g.text) FROM (
        SELECT {role("x.grantee")} || ': ' || string_agg(
                lower(x.privilege_type) || CASE WHEN x.is_grantable THEN ' with grant option' ELSE '' END, ', '
                ORDER BY x.privilege_type, x.is_grantable)
            || CASE x.grantor WHEN {owner} THEN '' ELSE ' granted by ' || {role("x.grantor")} END AS text
        FROM aclexplode({acl}) x GROUP BY x.grantee, x.grantor) g)"""


_DATABASE_OWNER = "(SELECT datdba FROM pg_database WHERE datname = current_database())"

# The last value is what acldefault() calls this kind of thing; NULL for what has no privileges.
_THINGS = f"""
SELECT {RELATION_KIND}, n.nspname || '.' || c.relname, c.relowner, c.relacl,
    CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char"
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {kept("c.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT {ROUTINE_KIND}, n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')',
    p.proowner, p.proacl, 'f'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {kept("p.oid")} AND {lasting("n.nspname")}
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass
        AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT {TYPE_KIND}, n.nspname || '.' || t.typname, t.typowner, t.typacl, 'T'
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE {OWN_TYPE} AND {kept("t.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'schema', n.nspname, n.nspowner, n.nspacl, 'n' FROM pg_namespace n
WHERE {kept("n.oid")} AND {lasting("n.nspname")} OR n.nspname = 'public'
UNION ALL
SELECT 'foreign data wrapper', fdwname, fdwowner, fdwacl, 'F' FROM pg_foreign_data_wrapper WHERE {kept("oid")}
UNION ALL
SELECT 'foreign server', srvname, srvowner, srvacl, 'S' FROM pg_foreign_server WHERE {kept("oid")}
UNION ALL
SELECT 'language', lanname, lanowner, lanacl, 'l' FROM pg_language
WHERE {kept("oid")} OR lanname IN ('plpgsql', 'sql')
UNION ALL
SELECT 'publication', pubname, pubowner, NULL, NULL FROM pg_publication WHERE {kept("oid")}
UNION ALL
SELECT 'event trigger', evtname, evtowner, NULL, NULL FROM pg_event_trigger WHERE {kept("oid")}
UNION ALL
SELECT 'statistics object', n.nspname || '.' || s.stxname, s.stxowner, NULL, NULL
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {kept("s.oid")} AND {kept("s.stxrelid")}
UNION ALL
SELECT 'collation', n.nspname || '.' || l.collname, l.collowner, NULL, NULL
FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE {kept("l.oid")}
"""

# Who owns the database made most of what is in it: that is not worth a fact. Privileges that are those which
# everybody has anyway are none either, however they came about.
OWNERS_AND_PRIVILEGES = f"""
WITH things (kind, object, owner, acl, type) AS ({_THINGS})
SELECT t.kind || ' owner', t.object, pg_get_userbyid(t.owner)::text
FROM things t WHERE t.owner <> {_DATABASE_OWNER}
    AND NOT (t.kind = 'language' AND t.object IN ('plpgsql', 'sql'))
UNION ALL
SELECT t.kind || ' privileges', t.object, coalesce(p.granted, 'none')
FROM things t, LATERAL (SELECT {_privileges("t.acl", "t.owner")} AS granted,
    {_privileges("acldefault(t.type, t.owner)", "t.owner")} AS usual OFFSET 0) p
WHERE t.acl IS NOT NULL AND p.granted IS DISTINCT FROM p.usual
UNION ALL
SELECT 'column privileges', n.nspname || '.' || c.relname || '.' || a.attname, p.granted
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
    LATERAL (SELECT {_privileges("a.attacl", "c.relowner")} AS granted OFFSET 0) p
WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND p.granted IS NOT NULL
    AND {kept("c.oid")} AND {lasting("n.nspname")}
"""

# acldefault() calls sequences otherwise than pg_default_acl does.
_USUAL = (
    """acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END::"char", d.defaclrole)"""
)

DEFAULT_PRIVILEGES = f"""
SELECT 'default privileges',
    CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
        WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE d.defaclobjtype::text END
    || ' of ' || pg_get_userbyid(d.defaclrole)
    || CASE d.defaclnamespace WHEN 0 THEN '' ELSE ' in ' || d.defaclnamespace::regnamespace END,
    coalesce(p.granted, 'none')
FROM pg_default_acl d, LATERAL (SELECT {_privileges("d.defaclacl", "d.defaclrole")} AS granted,
    CASE d.defaclnamespace WHEN 0 THEN {_privileges(_USUAL, "d.defaclrole")} END AS usual OFFSET 0) p
WHERE p.granted IS DISTINCT FROM p.usual
"""

# The comment of a database is our mark.
COMMENTS = f"""
SELECT CASE WHEN d.objsubid > 0 THEN 'column' ELSE {RELATION_KIND} END || ' comment',
    n.nspname || '.' || c.relname || coalesce('.' || a.attname, ''), d.description
FROM pg_description d
JOIN pg_class c ON c.oid = d.objoid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON d.objsubid > 0 AND a.attrelid = c.oid AND a.attnum = d.objsubid
WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND {kept("c.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT {CONSTRAINT_KIND} || ' comment', n.nspname || '.' || coalesce(c.relname, t.typname) || '.' || k.conname,
    d.description
FROM pg_description d
JOIN pg_constraint k ON k.oid = d.objoid
JOIN pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_type t ON t.oid = k.contypid
WHERE d.classoid = 'pg_catalog.pg_constraint'::regclass AND coalesce({kept("c.oid")}, {kept("t.oid")})
UNION ALL
SELECT {ROUTINE_KIND} || ' comment',
    n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')', d.description
FROM pg_description d JOIN pg_proc p ON p.oid = d.objoid JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE d.classoid = 'pg_catalog.pg_proc'::regclass AND {kept("p.oid")}
UNION ALL
SELECT {TYPE_KIND} || ' comment', n.nspname || '.' || t.typname, d.description
FROM pg_description d JOIN pg_type t ON t.oid = d.objoid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE d.classoid = 'pg_catalog.pg_type'::regclass AND {kept("t.oid")}
UNION ALL
SELECT 'schema comment', n.nspname, d.description
FROM pg_description d JOIN pg_namespace n ON n.oid = d.objoid
WHERE d.classoid = 'pg_catalog.pg_namespace'::regclass
    AND ({kept("n.oid")} OR n.nspname = 'public' AND d.description <> 'standard public schema')
UNION ALL
SELECT i.type || ' comment', i.identity, d.description
FROM pg_description d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE {kept("d.objoid")} AND d.classoid NOT IN ('pg_catalog.pg_class'::regclass,
    'pg_catalog.pg_constraint'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_type'::regclass,
    'pg_catalog.pg_namespace'::regclass)
"""


def shared(major: int) -> str:
    """What belongs to the whole server. Passwords are not ours to see. `major` is the server's version."""
    inherit = (
        "CASE WHEN a.inherit_option THEN '' ELSE ' without inherit' END"
        " || CASE WHEN a.set_option THEN '' ELSE ' without set' END"
        if major >= 16
        else "''"
    )
    parameters = (
        f"""
UNION ALL
SELECT 'parameter privileges', a.parname, coalesce({_privileges("a.paracl", "10")}, 'none')
FROM pg_parameter_acl a"""
        if major >= 15
        else ""
    )
    return f"""
SELECT 'role', r.rolname::text, concat_ws(', ', CASE WHEN r.rolcanlogin THEN 'login' ELSE 'no login' END,
    CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolcreaterole THEN 'createrole' END,
    CASE WHEN r.rolcreatedb THEN 'createdb' END, CASE WHEN r.rolreplication THEN 'replication' END,
    CASE WHEN r.rolbypassrls THEN 'bypassrls' END, CASE WHEN NOT r.rolinherit THEN 'noinherit' END,
    CASE WHEN r.rolconnlimit >= 0 THEN 'connection limit ' || r.rolconnlimit END,
    'valid until ' || r.rolvaliduntil, 'settings (' || {words("s.setconfig")} || ')')
FROM pg_roles r LEFT JOIN pg_db_role_setting s ON s.setrole = r.oid AND s.setdatabase = 0
WHERE r.oid >= 16384
UNION ALL
SELECT 'membership', pg_get_userbyid(a.member) || ' in ' || pg_get_userbyid(a.roleid),
    string_agg('granted by ' || pg_get_userbyid(a.grantor)
        || CASE WHEN a.admin_option THEN ' with admin option' ELSE '' END || {inherit}, '; '
        ORDER BY pg_get_userbyid(a.grantor))
FROM pg_auth_members a WHERE a.member >= 16384 OR a.roleid >= 16384 GROUP BY 2
UNION ALL
SELECT 'tablespace', t.spcname::text, concat_ws(', ', 'owner ' || pg_get_userbyid(t.spcowner),
    'options (' || {words("t.spcoptions")} || ')', 'privileges ' || {_privileges("t.spcacl", "t.spcowner")})
FROM pg_tablespace t WHERE t.oid >= 16384
UNION ALL
SELECT CASE d.classoid WHEN 'pg_catalog.pg_authid'::regclass THEN 'role comment' ELSE 'tablespace comment' END,
    coalesce(pg_get_userbyid(d.objoid)::text, ''), d.description
FROM pg_shdescription d WHERE d.objoid >= 16384 AND d.classoid = 'pg_catalog.pg_authid'::regclass{parameters}
"""
