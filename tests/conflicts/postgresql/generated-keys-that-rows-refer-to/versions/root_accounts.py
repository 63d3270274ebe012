"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE roles (id SERIAL PRIMARY KEY, name TEXT)")
    op.execute("CREATE TABLE rights (role_id INTEGER REFERENCES roles (id), name TEXT)")


def downgrade():
    pass
