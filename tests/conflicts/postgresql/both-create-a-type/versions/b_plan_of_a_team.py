"""plan of a team

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute("CREATE TYPE plan AS ENUM ('free', 'team')")
    op.execute("CREATE TABLE teams (id INTEGER PRIMARY KEY, plan plan)")


def downgrade():
    pass
