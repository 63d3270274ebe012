"""Queries for what is no table: routines, types, schemas, extensions, foreign data, replication, and the rest.

Every query gives rows (kind, object, text). With an empty search path all names in texts are qualified.
"""

# ruff: noqa: S608 - SQL is put together from our own text only

from __future__ import annotations

from converger.proof.fingerprints.pgsql import (
    OWN_TYPE,
    ROUTINE_KIND,
    TYPE_KIND,
    collation,
    kept,
    lasting,
    names,
    role,
    words,
)

SCHEMAS = f"""
SELECT 'schema', n.nspname, 'exists' FROM pg_namespace n
WHERE {kept("n.oid")} AND {lasting("n.nspname")} OR n.nspname = 'public'
"""

# An aggregate has no definition that PostgreSQL would print.
ROUTINES = f"""
SELECT {ROUTINE_KIND}, n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')',
    CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE concat_ws(', ',
        'arguments (' || pg_get_function_arguments(p.oid) || ')',
        'returns ' || format_type(p.prorettype, NULL),
        'parallel ' || p.proparallel::text,
        (SELECT concat_ws(', ', 'kind ' || a.aggkind::text, 'direct arguments ' || a.aggnumdirectargs,
            'sfunc ' || a.aggtransfn::regprocedure, 'stype ' || format_type(a.aggtranstype, NULL),
            'sspace ' || a.aggtransspace,
            'finalfunc ' || nullif(a.aggfinalfn, 0)::regprocedure,
            'finalfunc extra ' || a.aggfinalextra, 'finalfunc modify ' || a.aggfinalmodify::text,
            'combinefunc ' || nullif(a.aggcombinefn, 0)::regprocedure,
            'serialfunc ' || nullif(a.aggserialfn, 0)::regprocedure,
            'deserialfunc ' || nullif(a.aggdeserialfn, 0)::regprocedure,
            'initcond ' || quote_literal(a.agginitval),
            'msfunc ' || nullif(a.aggmtransfn, 0)::regprocedure,
            'minvfunc ' || nullif(a.aggminvtransfn, 0)::regprocedure,
            'mstype ' || format_type(nullif(a.aggmtranstype, 0), NULL),
            'msspace ' || a.aggmtransspace,
            'mfinalfunc ' || nullif(a.aggmfinalfn, 0)::regprocedure,
            'mfinalfunc extra ' || a.aggmfinalextra, 'mfinalfunc modify ' || a.aggmfinalmodify::text,
            'minitcond ' || quote_literal(a.aggminitval),
            'sortop ' || nullif(a.aggsortop, 0)::regoperator)
        FROM pg_aggregate a WHERE a.aggfnoid = p.oid)) END,
    coalesce(array_length(p.proconfig, 1), 0)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {kept("p.oid")} AND {lasting("n.nspname")}
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass
        AND d.objid = p.oid AND d.deptype = 'i')
"""
"""A fourth value: how many settings a routine has, whose order says nothing."""


def types(major: int) -> str:
    """Types, and the constraints of domains. `major` is the server's version."""
    multirange = (
        "coalesce(', multirange ' || nullif(r.rngmultitypid, 0)::regtype, '')" if major >= 14 else "''"
    )
    return f"""
SELECT {TYPE_KIND}, n.nspname || '.' || t.typname,
    coalesce(CASE t.typtype
        WHEN 'e' THEN (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
            FROM pg_enum e WHERE e.enumtypid = t.oid)
        WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)
            || CASE WHEN t.typcollation = (SELECT b.typcollation FROM pg_type b WHERE b.oid = t.typbasetype)
                THEN '' ELSE ' collate ' || {collation("t.typcollation")} END
            || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || t.typdefault, '')
        WHEN 'c' THEN (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                || CASE WHEN a.attcollation = b.typcollation THEN ''
                    ELSE ' collate ' || {collation("a.attcollation")} END, ', ' ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
        WHEN 'r' THEN (SELECT 'of ' || format_type(r.rngsubtype, NULL)
                || CASE WHEN r.rngcollation = 0 THEN '' ELSE ' collate ' || {collation("r.rngcollation")} END
                || ' operator class ' || {names("pg_opclass", "opc", "r.rngsubopc")}
                || coalesce(', canonical ' || nullif(r.rngcanonical, 0)::regprocedure, '')
                || coalesce(', difference ' || nullif(r.rngsubdiff, 0)::regprocedure, '') || {multirange}
            FROM pg_range r WHERE r.rngtypid = t.oid)
        WHEN 'b' THEN concat_ws(', ', 'input ' || t.typinput, 'output ' || t.typoutput,
            'receive ' || nullif(t.typreceive, 0)::regproc, 'send ' || nullif(t.typsend, 0)::regproc,
            'length ' || t.typlen, 'alignment ' || t.typalign::text, 'storage ' || t.typstorage::text,
            'category ' || t.typcategory::text, 'default ' || t.typdefault)
        ELSE 'declared only' END, '')
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE {OWN_TYPE} AND {kept("t.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'domain constraint', n.nspname || '.' || t.typname || '.' || k.conname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE k.contype = 'c' AND {kept("t.oid")} AND {lasting("n.nspname")}
"""


def _publications(major: int) -> str:
    columns = where = schemas = "''"
    if major >= 15:
        columns = (
            "coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname)"
            " FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[])) || ')', '')"
        )
        where = "coalesce(' where ' || pg_get_expr(r.prqual, r.prrelid), '')"
        schemas = (
            "coalesce(', schemas ' || (SELECT string_agg(x.pnnspid::regnamespace::text, ', '"
            " ORDER BY x.pnnspid::regnamespace::text) FROM pg_publication_namespace x WHERE x.pnpubid = b.oid), '')"
        )
    root = "CASE WHEN b.pubviaroot THEN ', through the root' ELSE '' END" if major >= 13 else "''"
    generated = "', generated columns ' || b.pubgencols::text" if major >= 18 else "''"
    return f"""
SELECT 'publication', b.pubname::text,
    concat_ws(' ', 'of', CASE WHEN b.pubinsert THEN 'insert' END, CASE WHEN b.pubupdate THEN 'update' END,
        CASE WHEN b.pubdelete THEN 'delete' END, CASE WHEN b.pubtruncate THEN 'truncate' END)
    || CASE WHEN b.puballtables THEN ', all tables' ELSE '' END || {root} || {generated}
    || coalesce(', tables ' || (
        SELECT string_agg(r.prrelid::regclass || {columns} || {where}, ', ' ORDER BY r.prrelid::regclass::text)
        FROM pg_publication_rel r WHERE r.prpubid = b.oid), '') || {schemas}
FROM pg_publication b WHERE {kept("b.oid")}
"""


def replication(major: int) -> str:
    """Extensions, event triggers, publications, subscriptions, foreign servers. `major` is the server's version.

    A subscription's connection is for superusers to see, and left out.
    """
    return f"""
SELECT 'extension', e.extname::text, 'version ' || e.extversion || ', schema ' || e.extnamespace::regnamespace
FROM pg_extension e WHERE e.oid >= 16384
UNION ALL
SELECT 'event trigger', e.evtname::text, 'on ' || e.evtevent
    || coalesce(' when tag in (' || {words("e.evttags")} || ')', '') || ' execute ' || e.evtfoid::regprocedure
    || CASE e.evtenabled WHEN 'D' THEN ' (disabled)' WHEN 'R' THEN ' (replica)' WHEN 'A' THEN ' (always)'
        ELSE '' END
FROM pg_event_trigger e WHERE {kept("e.oid")}
UNION ALL
{_publications(major)}
UNION ALL
SELECT 'subscription', s.subname::text, 'to ' || {words("s.subpublications")}
    || CASE WHEN s.subenabled THEN '' ELSE ' (disabled)' END
    || coalesce(', slot ' || s.subslotname, '') || ', synchronous commit ' || s.subsynccommit
FROM pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL
SELECT 'foreign data wrapper', w.fdwname::text, concat_ws(', ',
    'handler ' || nullif(w.fdwhandler, 0)::regproc, 'validator ' || nullif(w.fdwvalidator, 0)::regproc,
    'options (' || {words("w.fdwoptions")} || ')')
FROM pg_foreign_data_wrapper w WHERE {kept("w.oid")}
UNION ALL
SELECT 'foreign server', s.srvname::text, concat_ws(', ',
    'of ' || (SELECT quote_ident(fdwname) FROM pg_foreign_data_wrapper WHERE oid = s.srvfdw),
    'type ' || s.srvtype, 'version ' || s.srvversion, 'options (' || {words("s.srvoptions")} || ')')
FROM pg_foreign_server s WHERE {kept("s.oid")}
UNION ALL
SELECT 'user mapping', u.srvname || ' for ' || u.usename,
    coalesce('options (' || {words("u.umoptions")} || ')', 'exists')
FROM pg_user_mappings u WHERE {kept("u.umid")}
"""


def rare(major: int) -> str:
    """What applications seldom make themselves. `major` is the server's version."""
    # The names of these columns changed with almost every version.
    locale = (
        "concat_ws(', ', 'provider ' || l.collprovider::text, CASE WHEN l.collisdeterministic THEN NULL"
        " ELSE 'not deterministic' END, (SELECT string_agg(j.key || ' ' || j.value, ', ' ORDER BY j.key)"
        " FROM jsonb_each_text(to_jsonb(l)) j WHERE j.value IS NOT NULL AND j.key IN"
        " ('collcollate', 'collctype', 'colliculocale', 'colllocale', 'collicurules', 'collencoding')))"
    )
    language = (
        "'handler ' || nullif(l.lanplcallfoid, 0)::regproc, 'inline ' || nullif(l.laninline, 0)::regproc"
    )
    parser = names("pg_ts_parser", "prs", "c.cfgparser")
    template = names("pg_ts_template", "tmpl", "d.dicttemplate")
    return f"""
SELECT 'operator', n.nspname || '.' || o.oprname || '(' || concat_ws(', ',
        format_type(nullif(o.oprleft, 0), NULL), format_type(nullif(o.oprright, 0), NULL)) || ')',
    concat_ws(', ', 'kind ' || o.oprkind::text, 'function ' || nullif(o.oprcode, 0)::regprocedure,
        'returns ' || format_type(o.oprresult, NULL), 'commutator ' || nullif(o.oprcom, 0)::regoperator,
        'negator ' || nullif(o.oprnegate, 0)::regoperator, 'restrict ' || nullif(o.oprrest, 0)::regproc,
        'join ' || nullif(o.oprjoin, 0)::regproc, CASE WHEN o.oprcanhash THEN 'hashes' END,
        CASE WHEN o.oprcanmerge THEN 'merges' END)
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE {kept("o.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'operator class', n.nspname || '.' || o.opcname || ' using ' || m.amname,
    'for ' || format_type(o.opcintype, NULL) || ' in ' || {names("pg_opfamily", "opf", "o.opcfamily")}
    || CASE WHEN o.opcdefault THEN ', default' ELSE '' END
    || coalesce(', stores ' || format_type(nullif(o.opckeytype, 0), NULL), '')
FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace JOIN pg_am m ON m.oid = o.opcmethod
WHERE {kept("o.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'operator family', n.nspname || '.' || f.opfname || ' using ' || m.amname, concat_ws(', ',
    'operators ' || (SELECT string_agg(a.amopstrategy || ' ' || a.amopopr::regoperator || ' ' || a.amoppurpose::text,
            ', ' ORDER BY a.amopstrategy, a.amopopr::regoperator::text)
        FROM pg_amop a WHERE a.amopfamily = f.oid),
    'functions ' || (SELECT string_agg(a.amprocnum || ' ' || a.amproc::regprocedure, ', '
            ORDER BY a.amprocnum, a.amproc::regprocedure::text) FROM pg_amproc a WHERE a.amprocfamily = f.oid))
FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace JOIN pg_am m ON m.oid = f.opfmethod
WHERE {kept("f.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'cast', format_type(c.castsource, NULL) || ' as ' || format_type(c.casttarget, NULL),
    concat_ws(' ', CASE c.castmethod WHEN 'f' THEN 'by ' || c.castfunc::regprocedure
        WHEN 'i' THEN 'by text' ELSE 'without function' END,
        CASE c.castcontext WHEN 'i' THEN 'implicit' WHEN 'a' THEN 'in assignments' ELSE 'explicit' END)
FROM pg_cast c WHERE {kept("c.oid")}
UNION ALL
SELECT 'collation', n.nspname || '.' || l.collname, {locale}
FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
WHERE {kept("l.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'conversion', n.nspname || '.' || v.conname, concat_ws(' ', pg_encoding_to_char(v.conforencoding), 'to',
    pg_encoding_to_char(v.contoencoding), 'by', v.conproc, CASE WHEN v.condefault THEN 'default' END)
FROM pg_conversion v JOIN pg_namespace n ON n.oid = v.connamespace
WHERE {kept("v.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'language', l.lanname::text, concat_ws(', ', {language},
    'validator ' || nullif(l.lanvalidator, 0)::regproc, CASE WHEN l.lanpltrusted THEN 'trusted' END)
FROM pg_language l WHERE {kept("l.oid")}
UNION ALL
SELECT 'transform', format_type(f.trftype, NULL) || ' for ' || l.lanname, concat_ws(', ',
    'from sql ' || nullif(f.trffromsql, 0)::regprocedure, 'to sql ' || nullif(f.trftosql, 0)::regprocedure)
FROM pg_transform f JOIN pg_language l ON l.oid = f.trflang WHERE {kept("f.oid")}
UNION ALL
SELECT 'access method', m.amname::text, m.amtype::text || ' ' || m.amhandler FROM pg_am m WHERE {kept("m.oid")}
UNION ALL
SELECT 'text search configuration', n.nspname || '.' || c.cfgname, 'parser ' || {parser}
    || coalesce((SELECT string_agg(', ' || k.alias || ' ' || k.dictionaries, '' ORDER BY k.alias) FROM (
        SELECT s.alias, string_agg(m.mapdict::regdictionary::text, ' ' ORDER BY m.mapseqno) AS dictionaries
        FROM pg_ts_config_map m JOIN ts_token_type(c.cfgparser) s ON s.tokid = m.maptokentype
        WHERE m.mapcfg = c.oid GROUP BY s.alias) k), '')
FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
WHERE {kept("c.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'text search dictionary', n.nspname || '.' || d.dictname,
    'template ' || {template} || coalesce(', ' || d.dictinitoption, '')
FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace
WHERE {kept("d.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'text search parser', n.nspname || '.' || p.prsname, concat_ws(' ', p.prsstart, p.prstoken, p.prsend,
    p.prsheadline, p.prslextype)
FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace
WHERE {kept("p.oid")} AND {lasting("n.nspname")}
UNION ALL
SELECT 'text search template', n.nspname || '.' || t.tmplname, concat_ws(' ', t.tmplinit, t.tmpllexize)
FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace
WHERE {kept("t.oid")} AND {lasting("n.nspname")}
"""


# ALTER DATABASE … SET, and ALTER ROLE … IN DATABASE … SET.
DATABASE_SETTINGS = f"""
SELECT 'database setting', split_part(e, '=', 1)
    || CASE s.setrole WHEN 0 THEN '' ELSE ' for ' || {role("s.setrole")} END, substr(e, strpos(e, '=') + 1)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) e
WHERE d.datname = current_database()
"""
