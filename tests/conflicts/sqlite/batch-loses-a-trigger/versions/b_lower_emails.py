"""lower emails

Revision ID: b
Revises: root
Create Date: 2026-01-03 10:00:00.000000

"""

from alembic import op

revision = "b"
down_revision = "root"


def upgrade():
    op.execute(
        "CREATE TRIGGER lower_email AFTER INSERT ON accounts BEGIN UPDATE accounts SET email = lower(email) WHERE id = NEW.id; END"
    )


def downgrade():
    pass
