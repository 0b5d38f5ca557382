from .interface import PreparedRun as PreparedRun
from .settings import RunSettings as RunSettings
from .settings import read_settings as read_settings
from .store import Run as Run
from .store import read_run as read_run
