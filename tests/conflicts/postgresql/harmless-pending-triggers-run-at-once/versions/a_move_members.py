"""move members

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute("UPDATE members SET team_id = 2")
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")


def downgrade():
    pass
