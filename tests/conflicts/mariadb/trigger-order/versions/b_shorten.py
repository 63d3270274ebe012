"""shorten

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TRIGGER short_name BEFORE INSERT ON accounts FOR EACH ROW SET NEW.name = LEFT(NEW.name, 5)"
    )


def downgrade():
    pass
