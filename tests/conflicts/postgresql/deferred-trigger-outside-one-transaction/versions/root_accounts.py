"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, name VARCHAR(50), email TEXT, score INTEGER)")
    op.execute("CREATE TABLE orders (id INTEGER)")
    op.execute("CREATE TABLE counts (accounts BIGINT)")
    op.execute(
        """
        CREATE FUNCTION count_accounts() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO counts SELECT count(*) FROM accounts; RETURN NULL; END $$
        """
    )
    op.execute(
        """
        CREATE CONSTRAINT TRIGGER counting AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION count_accounts()
        """
    )


def downgrade():
    pass
