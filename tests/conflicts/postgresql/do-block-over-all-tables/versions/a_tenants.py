"""tenants

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute(
        """
        DO $$
        DECLARE t text;
        BEGIN
            FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
                EXECUTE format('ALTER TABLE public.%I ADD COLUMN tenant_id integer', t);
            END LOOP;
        END $$
        """
    )


def downgrade():
    pass
