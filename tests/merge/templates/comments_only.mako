# Copyright ${create_date.year} Somebody
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

# ${message}
#
# Revision ID: ${up_revision}
# Revises: ${down_revision}
# Create Date: ${create_date}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
% if branch_labels:
branch_labels = ${repr(branch_labels)}
% endif


def upgrade():
    ${upgrades if upgrades else "pass"}
