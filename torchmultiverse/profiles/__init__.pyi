from .deployment import TARGETS as TARGETS
from .deployment import Deployment as Deployment
from .deployment import file_name as file_name
from .deployment import template as template
from .diagnosis import diagnose as diagnose
from .instances import ProfileProcess as ProfileProcess
from .instances import instance_folder as instance_folder
from .instances import log_path as log_path
from .pictures import check_picture as check_picture
from .pictures import picture_problem as picture_problem
from .pictures import sample_scene as sample_scene
from .probes import Finding as Finding
from .probes import Host as Host
from .probes import probe as probe
from .profile import Profile as Profile
from .profile import as_text as as_text
from .profile import changed as changed
from .profile import made as made
from .profile import script_problem as script_problem
from .serving import serve_profile as serve_profile
from .shelf import folder_problem as folder_problem
from .shelf import is_profile as is_profile
from .shelf import load_profile as load_profile
from .shelf import profile_names as profile_names
from .shelf import profile_path as profile_path
from .shelf import profiles_folder as profiles_folder
from .shelf import remove_profile as remove_profile
from .shelf import save_profile as save_profile
from .shelf import strange_profiles as strange_profiles

__all__ = [
    "TARGETS",
    "Deployment",
    "Finding",
    "Host",
    "Profile",
    "ProfileProcess",
    "as_text",
    "changed",
    "check_picture",
    "diagnose",
    "file_name",
    "folder_problem",
    "instance_folder",
    "is_profile",
    "load_profile",
    "log_path",
    "made",
    "picture_problem",
    "probe",
    "profile_names",
    "profile_path",
    "profiles_folder",
    "remove_profile",
    "sample_scene",
    "save_profile",
    "script_problem",
    "serve_profile",
    "strange_profiles",
    "template",
]
