using UnrealBuildTool;

public class TorchMultiverseGltf : ModuleRules
{
    public TorchMultiverseGltf(ReadOnlyTargetRules Target) : base(Target)
    {
        PCHUsage = PCHUsageMode.NoPCHs;
        PrivateDependencyModuleNames.AddRange(
            new string[] { "Core", "CoreUObject", "Engine", "TorchMultiverseBridge", "glTFRuntime" });
    }
}
