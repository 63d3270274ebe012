"""insert

Revision ID: a
Revises: root
Create Date: 2026-01-02 10:00:00.000000

"""

from alembic import op

revision = "a"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TRIGGER lower_email BEFORE INSERT ON accounts FOR EACH ROW SET NEW.email = LOWER(NEW.email)"
    )


def downgrade():
    pass
