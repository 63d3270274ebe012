"""accounts

Revision ID: root
Revises:
Create Date: 2026-01-01 10:00:00.000000

"""

from alembic import op

revision = "root"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE invoices (id INTEGER AUTO_INCREMENT PRIMARY KEY)")
    op.execute("CREATE TABLE items (invoice_id INTEGER, FOREIGN KEY (invoice_id) REFERENCES invoices (id))")


def downgrade():
    pass
