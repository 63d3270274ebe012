"""teams

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE teams (id INTEGER PRIMARY KEY)")
    op.execute(
        "CREATE TABLE members (id INTEGER PRIMARY KEY,"
        " team_id INTEGER REFERENCES teams (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    op.execute("INSERT INTO teams VALUES (1), (2)")
    op.execute("INSERT INTO members VALUES (1, 1)")


def downgrade():
    pass
