#
# Somebody's licence stands here.

"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}

"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = "${up_revision}"
down_revision = "${down_revision}"
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    """Apply ${message}"""
    ${upgrades if upgrades else "pass"}


def downgrade():
    """Unapply ${message}"""
    ${downgrades if downgrades else "pass"}
