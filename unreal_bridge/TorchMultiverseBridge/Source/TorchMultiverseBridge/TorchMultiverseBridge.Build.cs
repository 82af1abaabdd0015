using System.IO;
using UnrealBuildTool;

public class TorchMultiverseBridge : ModuleRules
{
    public TorchMultiverseBridge(ReadOnlyTargetRules Target) : base(Target)
    {
        // The bridge core is plain C++17: no precompiled header of Unreal's may reach it, and its files keep names of
        // their own to themselves, so they are not joined.
        PCHUsage = PCHUsageMode.NoPCHs;
        bUseUnity = false;

        string Core = Path.Combine(ModuleDirectory, "Private", "Core");
        if (!Directory.Exists(Path.Combine(Core, "src")))
        {
            throw new BuildException("the bridge core is not in " + Core + "; python3 unreal_bridge/install.py PROJECT copies it");
        }
        PrivateIncludePaths.Add(Path.Combine(Core, "include"));
        PrivateIncludePaths.Add(Path.Combine(ModuleDirectory, "Private"));

        PublicDependencyModuleNames.AddRange(new string[] { "Core", "CoreUObject", "Engine", "DeveloperSettings" });
        PrivateDependencyModuleNames.AddRange(new string[] { "RHI", "RenderCore", "ImageWrapper", "Niagara" });

        // Pixel Streaming 2 from Unreal 5.5 on. TMV_PIXEL_STREAMING=1 in the environment of the build keeps the first
        // one, TMV_PIXEL_STREAMING=0 builds without either (a bridge that nobody can ask).
        bool Second = Target.Version.MajorVersion == 5 && Target.Version.MinorVersion >= 5;
        string Wanted = System.Environment.GetEnvironmentVariable("TMV_PIXEL_STREAMING");
        if (string.IsNullOrEmpty(Wanted))
        {
            Wanted = Second ? "2" : "1";
        }
        if (Wanted == "2" && !Second)
        {
            throw new BuildException("Pixel Streaming 2 came with Unreal 5.5");
        }
        PrivateDefinitions.Add("TMV_PIXEL_STREAMING=" + Wanted);
        if (Wanted == "1")
        {
            PrivateDependencyModuleNames.Add("PixelStreaming");
        }
        if (Wanted == "2")
        {
            PrivateDependencyModuleNames.Add("PixelStreaming2");
        }
    }
}
