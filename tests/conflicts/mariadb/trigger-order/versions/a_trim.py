"""trim

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TRIGGER trim_name BEFORE INSERT ON accounts FOR EACH ROW SET NEW.name = TRIM(NEW.name)"
    )


def downgrade():
    pass
