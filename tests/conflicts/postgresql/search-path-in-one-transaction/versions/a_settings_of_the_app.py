"""settings of the app

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute("SET search_path TO app, public")
    op.execute("CREATE TABLE app.settings (id INTEGER)")


def downgrade():
    pass
