"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE plans (code VARCHAR(10) PRIMARY KEY)")
    op.execute(
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, plan VARCHAR(10), CONSTRAINT fk_plan FOREIGN KEY (plan) REFERENCES plans (code) ON UPDATE CASCADE)"
    )
    op.execute("INSERT INTO plans VALUES ('free')")


def downgrade():
    pass
