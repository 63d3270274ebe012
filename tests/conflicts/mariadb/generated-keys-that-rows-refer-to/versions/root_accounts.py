"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE roles (id INTEGER AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20))")
    op.execute(
        "CREATE TABLE rights (role_id INTEGER, name VARCHAR(20), FOREIGN KEY (role_id) REFERENCES roles (id))"
    )


def downgrade():
    pass
